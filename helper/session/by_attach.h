/* A session through the engine: any engine, nothing of ours in the container. */
#ifndef BERTH_SESSION_BY_ATTACH_H
#define BERTH_SESSION_BY_ATTACH_H

#include "session/session.h"

/* Creates the session's container, runs the command as its process, relays. The
 * result is in s->result. */
int by_attach(struct session *s, struct error **err);

#endif
