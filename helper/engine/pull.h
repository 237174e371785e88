/* What the engine says of a pull while it goes on: a stream of JSON objects, one after the
 * other (Docker Engine API, POST /images/create). */
#ifndef BERTH_ENGINE_PULL_H
#define BERTH_ENGINE_PULL_H

#include "engine/image.h"

struct pull;

/* `progress` may be NULL. NULL: out of memory. */
struct pull *pull_new(image_progress *progress, void *data);
void pull_free(struct pull *pull);

/* Takes the next bytes, in whatever pieces; `data` is the pull. -1: it has failed, and
 * nothing more is wanted. */
int pull_take(void *data, const char *bytes, size_t len);

/* How it has ended: as the stream said, else as the call did (`rc` and *err), which may be
 * over too early. */
int pull_end(const struct pull *pull, int rc, struct error **err);

#endif
