/* A session by way of the guest in its container: no byte of it passes through
 * the engine. */
#ifndef BERTH_SESSION_BY_DIRECT_H
#define BERTH_SESSION_BY_DIRECT_H

#include "session/record.h"
#include "session/session.h"

#include <json-c/json_types.h>

/* Creates the session's container and runs the command in it. The result is in
 * s->result. */
int by_direct(struct session *s, struct error **err);

/* Creates a shared container, and has its guest listen (shared.h). */
int by_direct_make(struct session *s, struct json_object *body, struct record *made,
                   struct error **err);

#endif
