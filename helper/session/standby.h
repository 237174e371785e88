/* Standby: for scope session, containers of the user's that were made before
 * their login. Each has its own lock file, whose state is WATCHER_STANDBY and
 * which nobody holds: to lock it is to claim it. Nothing stays to look after
 * them: a guest ends itself when its time is over, a login refills, a sweep
 * removes. */
#ifndef BERTH_SESSION_STANDBY_H
#define BERTH_SESSION_STANDBY_H

#include "channel/direct.h"
#include "session/session.h"

/* Claims a container that the same policy made and starts the session in it: the
 * lease, key and watcher are then its own. 1; 0: there is none. */
int standby_start(struct session *s, struct direct *direct, const struct text *payload,
                  struct error **err);

/* Makes what is missing of policy->standby, in a process of its own that outlives
 * this one, which is the watcher: to be called when the session runs. */
void standby_refill(const struct session *s);

#endif
