#include "config.h"

#include "engine/container.h"

#include "base/text.h"
#include "engine/reply.h"

#include <errno.h>
#include <json-c/json.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

enum { PATH_SIZE = 512 };

/* Detach keys end an attach when they are typed; an empty value means the
 * default, ctrl-p ctrl-q. 0xFE and 0xFF stand in no UTF-8 text. With podman it means
 * none, and needs to: where the first key comes alone it may lose a byte behind it. */
#define NO_DETACH_KEYS "%FE,%FF,%FE,%FF"

int container_create(struct engine *engine, const char *name, struct json_object *body,
                     struct error **err)
{
    char path[PATH_SIZE];
    struct json_object *id;
    const char *text = json_object_to_json_string_ext(body, JSON_C_TO_STRING_PLAIN);

    if (!text)
        return error_set(err, ENOMEM, "create body");
    snprintf(path, sizeof path, "/containers/create?name=%s", name);
    cleanup_call struct http_call *c = engine_start(engine, "POST", path, text, ENGINE_CREATE_MS,
                                                    err);
    if (!c)
        return -1;
    if (http_finish(engine_http(engine), c, err) < 0)
        return engine_conflict(engine, c, "is already in use", err);
    struct json_object *reply = reply_object(c);
    bool made = http_call_status(c) == 201 && reply && json_object_object_get_ex(reply, "Id", &id);
    json_object_put(reply);
    return made ? 0
                : error_set(err, 0, "engine: create: the answer is not that of a container engine");
}

struct hijack *container_attach(struct engine *engine, const char *name, struct error **err)
{
    char path[PATH_SIZE];

    snprintf(path, sizeof path,
             "/containers/%s/attach?stream=1&stdin=1&stdout=1&stderr=1&detachKeys=%s", name,
             engine_is_podman(engine) ? "" : NO_DETACH_KEYS);
    return hijack_open(engine_http(engine), path, NULL, ENGINE_ATTACH_MS, err);
}

int container_start(struct engine *engine, const char *name, struct error **err)
{
    char path[PATH_SIZE];

    snprintf(path, sizeof path, "/containers/%s/start", name);
    return engine_call(engine, "POST", path, NULL, ENGINE_START_MS, err);
}

struct http_call *container_wait(struct engine *engine, const char *name, struct error **err)
{
    char path[PATH_SIZE];

    snprintf(path, sizeof path, "/containers/%s/wait?condition=next-exit", name);
    struct http_call *wait = engine_start(engine, "POST", path, NULL, 0, err);
    if (wait && http_await_header(engine_http(engine), wait, ENGINE_CONTROL_MS, err) < 0) {
        http_call_free(wait);
        wait = NULL;
    }
    return wait;
}

int container_read_status(struct json_object *reply, int *status, struct error **err)
{
    struct json_object *error = reply_member(reply, "Error", json_type_object);
    struct json_object *code = reply_member(reply, "StatusCode", json_type_int);
    const char *message = error ? json_object_get_string(
                                      reply_member(error, "Message", json_type_string))
                                : NULL;

    if (error)
        return error_set(err, 0, "engine: wait: %.200s",
                         message ? message : "the answer has an Error without a Message");
    if (!code || json_object_get_int(code) < 0 || json_object_get_int(code) > 255)
        return error_set(err, 0, "engine: wait: the answer has no StatusCode from 0 to 255");
    *status = json_object_get_int(code);
    return 0;
}

int container_wait_status(struct http_call *wait, int *status, struct error **err)
{
    if (http_call_result(wait, err) < 0)
        return -1;
    struct json_object *reply = reply_object(wait);
    if (!reply)
        return error_set_kind(err, ERROR_LOST, "the container engine went away");
    int rc = container_read_status(reply, status, err);
    json_object_put(reply);
    return rc;
}

struct http_call *container_resize(struct engine *engine, const char *name, unsigned rows,
                                   unsigned cols, struct error **err)
{
    char path[PATH_SIZE];

    snprintf(path, sizeof path, "/containers/%s/resize?h=%u&w=%u", name, rows, cols);
    return engine_start(engine, "POST", path, NULL, ENGINE_CONTROL_MS, err);
}

struct http_call *container_kill(struct engine *engine, const char *name, int signal,
                                 struct error **err)
{
    char path[PATH_SIZE];

    snprintf(path, sizeof path, "/containers/%s/kill?signal=%d", name, signal);
    return engine_start(engine, "POST", path, NULL, ENGINE_CONTROL_MS, err);
}

struct http_call *container_inspect(struct engine *engine, const char *name, struct error **err)
{
    char path[PATH_SIZE];

    snprintf(path, sizeof path, "/containers/%s/json", name);
    return engine_start(engine, "GET", path, NULL, ENGINE_CONTROL_MS, err);
}

void container_read_id(struct json_object *reply, const char *key, char id[CONTAINER_ID_SIZE])
{
    const char *text = json_object_get_string(reply_member(reply, key, json_type_string));

    id[0] = '\0';
    if (text && strspn(text, "0123456789abcdef") == CONTAINER_ID_SIZE - 1 &&
        text[CONTAINER_ID_SIZE - 1] == '\0')
        memcpy(id, text, CONTAINER_ID_SIZE);
}

static pid_t read_pid(struct json_object *reply, char id[CONTAINER_ID_SIZE])
{
    struct json_object *state, *pid;
    pid_t result = 0;

    if (json_object_object_get_ex(reply, "State", &state) &&
        json_object_is_type(state, json_type_object) &&
        json_object_object_get_ex(state, "Pid", &pid) && json_object_is_type(pid, json_type_int))
        result = json_object_get_int(pid);
    container_read_id(reply, "Id", id);
    return result > 0 ? result : 0;
}

pid_t container_inspect_pid(const struct http_call *inspect, char id[CONTAINER_ID_SIZE])
{
    id[0] = '\0';
    if (!http_call_done(inspect) || http_call_status(inspect) != 200)
        return 0;
    struct json_object *reply = reply_object(inspect);
    pid_t pid = read_pid(reply, id);
    json_object_put(reply);
    return pid;
}

static void read_labels(struct json_object *reply, container_label *label, void *data)
{
    struct json_object *config = reply_member(reply, "Config", json_type_object);
    struct json_object *labels = config ? reply_member(config, "Labels", json_type_object) : NULL;

    if (!labels || !label)
        return;
    json_object_object_foreach(labels, key, value)
    {
        if (json_object_is_type(value, json_type_string))
            label(data, key, json_object_get_string(value));
    }
}

int container_read_state(struct json_object *reply, struct container_state *state,
                         container_label *label, void *data, struct error **err)
{
    struct json_object *now = reply ? reply_member(reply, "State", json_type_object) : NULL;

    *state = (struct container_state){0};
    if (!now)
        return error_set(err, 0, "engine: inspect: the answer has no State");
    const char *word = json_object_get_string(reply_member(now, "Status", json_type_string));
    state->running = json_object_get_boolean(reply_member(now, "Running", json_type_boolean));
    state->paused = json_object_get_boolean(reply_member(now, "Paused", json_type_boolean));
    state->dead = json_object_get_boolean(reply_member(now, "Dead", json_type_boolean)) ||
                  (word && strcmp(word, "removing") == 0);
    state->status = json_object_get_int(reply_member(now, "ExitCode", json_type_int));
    /* The zero time of Go's, "0001-01-01T00:00:00Z", until then. */
    const char *at = json_object_get_string(reply_member(now, "StartedAt", json_type_string));
    state->started = !at || strncmp(at, "0001-", 5) != 0;
    state->pid = read_pid(reply, state->id);
    image_read_id(reply, "Image", state->image);
    read_labels(reply, label, data);
    return 0;
}

int container_ask(struct engine *engine, const char *name, struct container_state *state,
                  container_label *label, void *data, struct error **err)
{
    cleanup_call struct http_call *c = container_inspect(engine, name, err);

    *state = (struct container_state){0};
    if (!c || http_finish(engine_http(engine), c, err) < 0)
        return -1;
    struct json_object *reply = reply_object(c);
    int rc = container_read_state(reply, state, label, data, err);
    json_object_put(reply);
    return rc;
}

int container_restart(struct engine *engine, const char *name, struct error **err)
{
    char path[PATH_SIZE];

    snprintf(path, sizeof path, "/containers/%s/restart?t=0", name);
    return engine_call(engine, "POST", path, NULL, ENGINE_START_MS, err);
}

int container_stop(struct engine *engine, const char *name, struct error **err)
{
    char path[PATH_SIZE];

    snprintf(path, sizeof path, "/containers/%s/stop?t=2", name);
    return engine_call(engine, "POST", path, NULL, ENGINE_START_MS, err);
}

int container_unpause(struct engine *engine, const char *name, struct error **err)
{
    char path[PATH_SIZE];

    snprintf(path, sizeof path, "/containers/%s/unpause", name);
    return engine_call(engine, "POST", path, NULL, ENGINE_CONTROL_MS, err);
}

int container_delete(struct engine *engine, const char *name, bool *found, struct error **err)
{
    char path[PATH_SIZE];

    *found = true;
    snprintf(path, sizeof path, "/containers/%s?force=1&v=1", name);
    if (engine_call(engine, "DELETE", path, NULL, ENGINE_DELETE_MS, err) == 0)
        return 0;
    *found = error_kind(*err) != ERROR_NOT_FOUND;
    if (*found && error_kind(*err) != ERROR_CONFLICT)
        return -1;
    error_clear(err);
    return 0;
}
