#include "config.h"

#include "session/background.h"

#include "base/file.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <syslog.h>
#include <unistd.h>

void background_leave(const char *name)
{
    sigset_t none;
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);

    setsid();
    for (int fd = 0; fd < 3; fd++)
        if (null < 0 || dup2(null, fd) < 0)
            close(fd);
    if (null > 2)
        close(null);
    signal(SIGHUP, SIG_IGN);
    signal(SIGINT, SIG_IGN);
    signal(SIGTERM, SIG_IGN);
    signal(SIGPIPE, SIG_IGN);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    prctl(PR_SET_NAME, name);
    if (chdir("/") < 0)
        syslog(LOG_WARNING, "%s: chdir /: %m", name);
}

/* To 3 and on. */
static void keep_only(int *kept, size_t count)
{
    const int first = 3, next = first + (int)count;

    for (size_t i = 0; i < count; i++)
        kept[i] = kept[i] < 0 ? -1 : fcntl(kept[i], F_DUPFD_CLOEXEC, next);
    for (size_t i = 0; i < count; i++) {
        if (kept[i] < 0)
            close(first + (int)i);
        else
            kept[i] = dup3(kept[i], first + (int)i, O_CLOEXEC);
    }
    fd_close_from(next);
}

pid_t background_fork_with(const char *name, int *kept, size_t count)
{
    pid_t pid = fork();

    if (pid == 0) {
        if (fork() != 0)
            _exit(0);
        background_leave(name);
        /* A copy of the session's connection or of its watcher's pipe would keep
         * its end from being seen. */
        closelog();
        keep_only(kept, count);
        return 0;
    }
    if (pid > 0)
        waitpid(pid, NULL, 0);
    return pid;
}

pid_t background_fork(const char *name)
{
    return background_fork_with(name, NULL, 0);
}
