/* A session through the engine in a container that others are in, or will be:
 * scopes connection and user of the attach channel. */
#ifndef BERTH_SESSION_BY_EXEC_H
#define BERTH_SESSION_BY_EXEC_H

#include "session/session.h"

/* Joins or makes the session's container, runs the command in it, relays. The
 * result is in s->result. */
int by_exec(struct session *s, struct error **err);

#endif
