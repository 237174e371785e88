/* An image: what its name stands for, and fetching it (Docker Engine API, GET
 * /images/NAME/json and POST /images/create). */
#ifndef BERTH_ENGINE_IMAGE_H
#define BERTH_ENGINE_IMAGE_H

#include "engine/engine.h"

#include <json-c/json_types.h>

/* A digest's 64 hex digits, without the "sha256:" that the API puts before them. */
enum { IMAGE_ID_SIZE = 65 };

/* The id that `key` of a reply holds; "" where it is none. */
void image_read_id(struct json_object *reply, const char *key, char id[IMAGE_ID_SIZE]);
/* What `image` ("name[:tag]" or "name@digest") stands for now. ERROR_NOT_FOUND: the
 * engine has none of that name. */
int image_ask(struct engine *engine, const char *image, char id[IMAGE_ID_SIZE], struct error **err);

/* How far a pull is; called at each message of the engine. `done` and `total`
 * are bytes of the layers known so far. */
typedef void image_progress(void *data, unsigned layers, unsigned layers_done, long long done,
                            long long total);

/* Pulls `image` ("name[:tag]" or "name@digest"; no tag means latest) and waits.
 * `auth` is the value of X-Registry-Auth, or NULL. Errors inside the stream
 * are errors. `progress` may be NULL. */
int image_pull(struct engine *engine, const char *image, const char *auth, image_progress *progress,
               void *data, struct error **err);

#endif
