/* Makes a container that sessions are started in: all of the direct channel's, and
 * by attach those of the scopes connection and user. */
#ifndef BERTH_SESSION_CREATION_H
#define BERTH_SESSION_CREATION_H

#include "protocol/message.h"
#include "session/names.h"
#include "session/record.h"
#include "session/session.h"
#include "session/spec.h"

/* The hash by which a container is known that was made by the same policy. */
int creation_policy(const struct session *s, char policy[SPEC_HASH_SIZE], struct error **err);

/* The create body of the session's container, whose first process is the guest, or by
 * attach a mere keeper, with that hash as a label. The caller puts it. NULL on failure. */
struct json_object *creation_body(const struct session *s, const char *policy, struct error **err);

/* The container's folder on this machine; the caller frees it. NULL: no memory. */
char *creation_folder(const struct session *s);

/* The session's engine, which has been asked who it is. */
struct engine *creation_reach(const struct session *s, struct error **err);

/* What was there of that name. */
struct earlier {
    bool exists; /* it is to be started again */
    bool running;
};

/* Creates container s->container from `body`, with its names, which are learnt where they
 * aren't known; one of that name that is there already is taken as below. *earlier comes
 * zeroed. */
int creation_place(struct session *s, struct engine *engine, struct json_object *body,
                   struct names *names, struct earlier *earlier, struct error **err);

/* Creates and starts container s->container from `body`, and says in `made` what it
 * is: how long it stays is the caller's. One of that name that is there already, of
 * the same user and key, is started again where somebody stopped it or with on_idle = stop,
 * else ended and replaced. */
int creation_make(struct session *s, struct engine *engine, struct json_object *body,
                  struct record *made, struct error **err);
/* The same in a process of its own, and has its guest listen in `folder`; with terms NULL
 * it has none. */
int creation_run(struct session *s, struct json_object *body, int folder,
                 const struct message_listen *terms, struct record *made, struct error **err);

/* Has the engine thaw container `id`, where somebody paused it. */
int creation_thaw(struct session *s, const char *id, struct error **err);

#endif
