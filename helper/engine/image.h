/* Fetching an image (Docker Engine API, POST /images/create). */
#ifndef BERTH_ENGINE_IMAGE_H
#define BERTH_ENGINE_IMAGE_H

#include "engine/engine.h"

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
