#include "config.h"

#include "session/monitor.h"

#include "base/process.h"

#include <unistd.h>

enum {
    /* sshd's child, the login shell, and whatever that starts us by. */
    CLIMB_MOST = 8,
};

/* The child that sshd made for the connection has the user's uid, its monitor
 * root's. */
static pid_t find_monitor(void)
{
    pid_t pid = getppid(), parent;
    uid_t uid;

    for (int i = 0; i < CLIMB_MOST && pid > 1; i++) {
        if (!process_status(pid, &uid, &parent))
            return 0;
        if (uid == 0)
            return pid;
        pid = parent;
    }
    return 0;
}

void monitor_know(struct request *request)
{
    if (request->monitor > 0)
        return;
    if (request->vouched.id[0])
        request->monitor = request->vouched.sshd;
    /* A root's login has no other process to tell the monitor by. */
    else if (request->account.uid != 0)
        request->monitor = find_monitor();
}
