/* The look after what a connection may have left, off sshd's way. */
#ifndef BERTH_PAM_SWEEP_H
#define BERTH_PAM_SWEEP_H

#include <sys/types.h>

/* Starts `berth reap --user UID`, and doesn't wait for it. What can't be started is
 * left to the user's next login, or to the timer. */
void sweep_start(const char *config, uid_t uid);

#endif
