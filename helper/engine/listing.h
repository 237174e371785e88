/* The engine's containers, running or not. */
#ifndef BERTH_ENGINE_LISTING_H
#define BERTH_ENGINE_LISTING_H

#include "base/text.h"
#include "engine/engine.h"

#include <json-c/json_types.h>
#include <stdbool.h>

/* Its strings live as long as the visit. */
struct listed {
    const char *id;
    const char *name;  /* without the API's "/"; "" where it has none */
    long long created; /* s since the epoch, by the engine's clock; 0 unknown */
    bool started;      /* once at least, as far as its state tells */
    bool dead;         /* its removal has begun, and has not ended */
    struct json_object *labels;
};
typedef void listing_visit(void *data, const struct listed *container);

/* The label's value, NULL where there is none. */
const char *listed_label(const struct listed *container, const char *key);

/* Visits each container that has all of `labels` ("key=value"). The list is whole
 * before the first visit: a visit may ask the engine. A reply over HTTP_BODY_MAX
 * (some 2,000 containers) is refused. */
int listing_run(struct engine *engine, const struct strings *labels, listing_visit *visit,
                void *data, struct error **err);

/* The same for a reply's text. */
int listing_read(const char *text, listing_visit *visit, void *data, struct error **err);

#endif
