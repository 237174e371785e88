/* Names: a login's name, home and shell in its container, whose image knows nothing of it.
 * Its lines stand before the image's own in /etc/passwd and /etc/group.
 *
 * What the image has is learnt once, from a container that never runs, and kept in
 * RUNTIME/UID/names; each container gets it mounted. A container that is kept, where
 * packages are to be installed which add users, has the files changed in itself instead,
 * and so has one of an engine elsewhere. */
#ifndef BERTH_SESSION_NAMES_H
#define BERTH_SESSION_NAMES_H

#include "engine/engine.h"
#include "engine/image.h"
#include "session/session.h"

#include <json-c/json_types.h>

enum names_way {
    NAMES_NONE,  /* names = no, or the container's user is root or one that the image names */
    NAMES_MOUNT, /* files of this machine */
    NAMES_PUT,   /* changed in the container, before it starts */
};

struct names {
    enum names_way way;
    char key[17];              /* of the files there: their policy's, or a kept container's */
    bool known;                /* they are there */
    bool home;                 /* the image has a directory at the login's home */
    char image[IMAGE_ID_SIZE]; /* of which image they are; "" not known */
};

/* By the policy alone. */
enum names_way names_way(const struct session *s);
/* What makes a container another one than a policy's with other names. The caller frees
 * it; NULL: no memory. */
char *names_text(const struct session *s);

/* Whether they are kept already: known; else they must be learnt. */
void names_recall(struct names *names, const struct session *s);
/* Learns them from container s->container, which was made without them and hasn't run,
 * and keeps them. With `engine` NULL of no image at all, where there are none. */
int names_learn(struct names *names, const struct session *s, struct engine *engine,
                struct error **err);
/* Puts the files, and a home where the image has none, into a create body. */
int names_mount(const struct names *names, const struct session *s, const struct engine *engine,
                struct json_object *body, struct error **err);
/* Changes them in container s->container, which was made of `body` and hasn't run yet. */
int names_put(const struct session *s, struct engine *engine, struct json_object *body,
              struct error **err);

#endif
