/* Which of sshd's processes has a session's connection, for the log. */
#ifndef BERTH_SESSION_MONITOR_H
#define BERTH_SESSION_MONITOR_H

#include "session/request.h"

/* Fills request->monitor, by which sshd's own lines are found: as pam_berth vouches,
 * else as far as it can be told, from who called us up to the first process of root's.
 * /proc may hide that (hidepid, proc(5)). */
void monitor_know(struct request *request);

#endif
