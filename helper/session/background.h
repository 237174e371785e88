/* Processes that outlive the session they were forked by. */
#ifndef BERTH_SESSION_BACKGROUND_H
#define BERTH_SESSION_BACKGROUND_H

#include <stddef.h>
#include <sys/types.h>

/* Away from the session's terminal, signals and descriptors: sshd waits for
 * whoever holds one of its pipes. `name` is the process's (prctl(2), PR_SET_NAME). */
void background_leave(const char *name);

/* fork(2), twice: 0 in the grandchild, which has left and holds no descriptor but
 * 0 to 2; nobody has to wait for it. -1 where there is none. */
pid_t background_fork(const char *name);
/* The same for one who keeps `count` descriptors: in the grandchild they have other
 * numbers, which are in `kept` then. Those that are -1 stay so. */
pid_t background_fork_with(const char *name, int *kept, size_t count);

#endif
