/* A process without a session that keeps a container for a connection: pam_berth starts it
 * for forwarding = container, since forwards go on without any session. */
#ifndef BERTH_SESSION_HOLD_H
#define BERTH_SESSION_HOLD_H

#include "base/text.h"

/* Makes or joins, as the user, the container of the connection that SSH_CONNECTION in `env`
 * (taken over) names: the user's in scope user, else one of the connection's. Writes
 * "KEY PID ID\n" to stdout: its key (lease.h), its first process, as this machine counts, and
 * its id. Holds its lock until sshd's monitor, as pam_berth vouches, has ended. The exit
 * status: 0, or OUTCOME_REFUSED with a line on stderr. */
int hold_run(const char *config, struct strings *env);

#endif
