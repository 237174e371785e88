/* A session that runs gives up what it has no more use for: should its input, the
 * client's or the container's, ever get the better of it, there is little left to
 * be had. Whoever has more to do (the watcher, errands to the engine, a sweep, the
 * stock of standby) was forked before, and isn't confined. */
#ifndef BERTH_SESSION_CONFINE_H
#define BERTH_SESSION_CONFINE_H

#include "session/session.h"

/* To be called when the command runs and before a byte is moved. On a kernel that
 * has no such means the session goes on, and the log says so. *back: stderr's way
 * back (channel/direct.h) is wanted; and afterwards, whether it can be taken. */
int confine(const struct session *s, bool *back, struct error **err);

/* For the process that moves what is forwarded (forwarding.h): it opens nothing. */
int confine_relay(struct error **err);

#endif
