#include "config.h"

#include "engine/engine.h"

#include "engine/reply.h"

#include <errno.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The API as far as it was tested: 1.30 has wait's next-exit. */
enum { API_MINOR_MIN = 30, API_MINOR_MAX = 47 };

struct engine {
    struct http *http;
    int minor;
    bool podman;
};

struct engine *engine_new(const struct http_target *target, struct error **err)
{
    struct engine *engine = calloc(1, sizeof *engine);

    if (!engine) {
        error_set(err, ENOMEM, "engine");
        return NULL;
    }
    engine->http = http_new(target, err);
    if (!engine->http) {
        free(engine);
        return NULL;
    }
    return engine;
}

void engine_free(struct engine *engine)
{
    if (!engine)
        return;
    http_free(engine->http);
    free(engine);
}

struct http *engine_http(struct engine *engine)
{
    return engine->http;
}

int engine_read_version(const char *version, struct error **err)
{
    char *end = NULL;
    long minor = strncmp(version, "1.", 2) == 0 ? strtol(version + 2, &end, 10) : 0;

    if (!end || end == version + 2 || *end != '\0')
        return error_set(err, 0,
                         "engine: GET /_ping: no Api-Version in the answer; is this a "
                         "container engine?");
    if (minor < API_MINOR_MIN)
        return error_set(err, 0, "engine: speaks API 1.%ld at most, 1.%d is needed: update it",
                         minor, API_MINOR_MIN);
    return minor < API_MINOR_MAX ? (int)minor : API_MINOR_MAX;
}

int engine_negotiate(struct engine *engine, struct error **err)
{
    struct http_request request = {.method = "GET", .path = "/_ping", .timeout_ms = ENGINE_PING_MS};
    char version[16] = "", libpod[16];

    http_set_version(engine->http, "");
    cleanup_call struct http_call *call = http_start(engine->http, &request, err);
    if (!call || http_finish(engine->http, call, err) < 0)
        return -1;
    (void)http_call_header(call, "Api-Version", version, sizeof version);
    int minor = engine_read_version(version, err);
    if (minor < 0)
        return -1;
    engine->minor = minor;
    engine->podman = http_call_header(call, "Libpod-Api-Version", libpod, sizeof libpod);
    snprintf(version, sizeof version, "1.%d", minor);
    http_set_version(engine->http, version);
    return 0;
}

int engine_settle(struct engine *engine, struct error **err)
{
    return http_version(engine->http)[0] != '\0' ? 0 : engine_negotiate(engine, err);
}

bool engine_has(const struct engine *engine, int minor)
{
    return engine->minor >= minor;
}

bool engine_is_podman(const struct engine *engine)
{
    return engine->podman;
}

int engine_conflict(const struct engine *engine, const struct http_call *call, const char *words,
                    struct error **err)
{
    cleanup_error struct error *said = NULL;

    if (!engine->podman || http_call_status(call) != 500 ||
        !strstr(http_call_body(call, NULL), words))
        return -1;
    said = *err;
    *err = NULL;
    return error_set_kind(err, ERROR_CONFLICT, "%s", error_text(said));
}

struct http_call *engine_start(struct engine *engine, const char *method, const char *path,
                               const char *body, long timeout_ms, struct error **err)
{
    struct http_request request = {
        .method = method, .path = path, .body = body, .timeout_ms = timeout_ms};

    return http_start(engine_http(engine), &request, err);
}

int engine_call(struct engine *engine, const char *method, const char *path, const char *body,
                long timeout_ms, struct error **err)
{
    cleanup_call struct http_call *c = engine_start(engine, method, path, body, timeout_ms, err);

    return c ? http_finish(engine_http(engine), c, err) : -1;
}

char *engine_read_runtime(struct json_object *reply)
{
    const char *said = reply ? json_object_get_string(
                                   reply_member(reply, "DefaultRuntime", json_type_string))
                             : NULL;

    return said ? strdup(said) : NULL;
}

char *engine_default_runtime(struct engine *engine, struct error **err)
{
    cleanup_call struct http_call *c = engine_start(engine, "GET", "/info", NULL, ENGINE_CONTROL_MS,
                                                    err);

    if (!c || http_finish(engine_http(engine), c, err) < 0)
        return NULL;
    struct json_object *reply = reply_object(c);
    char *runtime = engine_read_runtime(reply);
    json_object_put(reply);
    if (!runtime)
        error_set(err, 0, "engine: info: the answer has no DefaultRuntime");
    return runtime;
}
