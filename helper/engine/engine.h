/* The engine: who it is and which version of its API both sides speak. */
#ifndef BERTH_ENGINE_ENGINE_H
#define BERTH_ENGINE_ENGINE_H

#include "engine/http.h"

#include <json-c/json_types.h>

struct engine;

/* Limits of one call, in milliseconds; berth.conf(5) states them. */
enum {
    ENGINE_PING_MS = 5000,
    ENGINE_CREATE_MS = 10000,
    ENGINE_ATTACH_MS = 5000,
    ENGINE_START_MS = 30000,
    ENGINE_DELETE_MS = 5000,
    ENGINE_CONTROL_MS = 5000, /* inspect, resize, kill, list */
    ENGINE_PULL_IDLE_MS = 60000,
};

/* Connects nothing yet. `target` is borrowed. */
struct engine *engine_new(const struct http_target *target, struct error **err);
void engine_free(struct engine *engine);
struct http *engine_http(struct engine *engine);

/* Asks the engine who it is and settles the API version: the lower of ours and
 * the engine's maximum (header Api-Version of /_ping). */
int engine_negotiate(struct engine *engine, struct error **err);
/* What is settled on where that header is "1.47": the minor version, -1 where there is none. */
int engine_read_version(const char *version, struct error **err);
/* The same, where that hasn't been done yet. */
int engine_settle(struct engine *engine, struct error **err);
/* Whether the settled version is at least 1.MINOR. */
bool engine_has(const struct engine *engine, int minor);
/* Whether it is podman's service, which has the same API and not all that is behind it;
 * known once the version is settled. */
bool engine_is_podman(const struct engine *engine);
/* A conflict (docker's 409) that is 500 and these words from podman: then the error of the
 * call becomes ERROR_CONFLICT, as docker's is. Returns -1. */
int engine_conflict(const struct engine *engine, const struct http_call *call, const char *words,
                    struct error **err);

/* The name of the runtime that it gives containers for which none is named, which the
 * caller frees. NULL on failure. */
char *engine_default_runtime(struct engine *engine, struct error **err);
/* The same for the answer itself, or NULL. */
char *engine_read_runtime(struct json_object *reply);

/* A call with a body of JSON, or NULL, and its limit in milliseconds (0: none).
 * NULL on failure. */
struct http_call *engine_start(struct engine *engine, const char *method, const char *path,
                               const char *body, long timeout_ms, struct error **err);
/* The same, and its end; http_call_result's answer. */
int engine_call(struct engine *engine, const char *method, const char *path, const char *body,
                long timeout_ms, struct error **err);

/* Frees whichever call, NULL too. */
static inline void cleanup_call_ptr(struct http_call **call)
{
    http_call_free(*call);
    *call = NULL;
}
#define cleanup_call __attribute__((cleanup(cleanup_call_ptr)))

#endif
