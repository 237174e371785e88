#include "config.h"

#include "engine/exec.h"

#include "engine/reply.h"

#include <errno.h>
#include <json-c/json.h>
#include <stdio.h>
#include <string.h>

enum { PATH_SIZE = 256 };

/* As for an attach (container.c), but here they are JSON, where no byte over 0x7F
 * is read right: nobody types this one. */
static const char no_detach_keys[] = "ctrl-@,DEL,ctrl-@,DEL";

static struct json_object *array_of(const struct strings *list)
{
    struct json_object *array = json_object_new_array();

    for (size_t i = 0; i < list->count; i++)
        json_object_array_add(array, json_object_new_string(list->items[i]));
    return array;
}

static void set_bool(struct json_object *o, const char *key, bool value)
{
    json_object_object_add(o, key, json_object_new_boolean(value));
}

static struct json_object *create_body(const struct exec_command *command)
{
    struct json_object *body = json_object_new_object();

    if (!body)
        return NULL;
    set_bool(body, "AttachStdin", command->attach);
    set_bool(body, "AttachStdout", command->attach);
    set_bool(body, "AttachStderr", command->attach);
    set_bool(body, "Tty", command->tty);
    if (command->attach)
        json_object_object_add(body, "DetachKeys", json_object_new_string(no_detach_keys));
    if (command->user)
        json_object_object_add(body, "User", json_object_new_string(command->user));
    if (command->env)
        json_object_object_add(body, "Env", array_of(command->env));
    json_object_object_add(body, "Cmd", array_of(command->argv));
    return body;
}

/* It goes into paths. */
int exec_read_id(struct json_object *reply, char id[EXEC_ID_SIZE], struct error **err)
{
    struct json_object *value = reply ? reply_member(reply, "Id", json_type_string) : NULL;
    const char *text = value ? json_object_get_string(value) : "";
    size_t len = strspn(text, "0123456789abcdef");

    if (len == 0 || len >= EXEC_ID_SIZE || text[len] != '\0')
        return error_set(err, 0, "engine: exec: the answer is not that of a container engine");
    memcpy(id, text, len + 1);
    return 0;
}

static int read_id(const struct http_call *call, char id[EXEC_ID_SIZE], struct error **err)
{
    struct json_object *reply = reply_object(call);
    int rc = exec_read_id(reply, id, err);

    json_object_put(reply);
    return rc;
}

static struct http_call *start_create(struct engine *engine, const char *container,
                                      const struct exec_command *command, struct error **err)
{
    char path[PATH_SIZE];
    struct json_object *body = create_body(command);
    const char *text = body ? json_object_to_json_string_ext(body, JSON_C_TO_STRING_PLAIN) : NULL;
    struct http_call *call = NULL;

    snprintf(path, sizeof path, "/containers/%s/exec", container);
    if (text)
        call = engine_start(engine, "POST", path, text, ENGINE_CREATE_MS, err);
    else
        error_set(err, ENOMEM, "exec body");
    json_object_put(body);
    return call;
}

int exec_create(struct engine *engine, const char *container, const struct exec_command *command,
                char id[EXEC_ID_SIZE], struct error **err)
{
    cleanup_call struct http_call *call = start_create(engine, container, command, err);

    if (!call)
        return -1;
    if (http_finish(engine_http(engine), call, err) < 0)
        return engine_conflict(engine, call, "container state improper", err);
    return read_id(call, id, err);
}

struct hijack *exec_start(struct engine *engine, const char *id, bool tty, struct error **err)
{
    char path[PATH_SIZE];

    snprintf(path, sizeof path, "/exec/%s/start", id);
    return hijack_open(engine_http(engine), path,
                       tty ? "{\"Detach\":false,\"Tty\":true}" : "{\"Detach\":false,\"Tty\":false}",
                       ENGINE_START_MS, err);
}

struct http_call *exec_make(struct engine *engine, const char *container,
                            const struct strings *argv, struct error **err)
{
    const struct exec_command command = {.argv = argv};

    return start_create(engine, container, &command, err);
}

struct http_call *exec_let_run(struct engine *engine, const struct http_call *made,
                               struct error **err)
{
    char path[PATH_SIZE], id[EXEC_ID_SIZE];

    if (read_id(made, id, err) < 0)
        return NULL;
    snprintf(path, sizeof path, "/exec/%s/start", id);
    return engine_start(engine, "POST", path, "{\"Detach\":true}", ENGINE_START_MS, err);
}

struct http_call *exec_resize(struct engine *engine, const char *id, unsigned rows, unsigned cols,
                              struct error **err)
{
    char path[PATH_SIZE];

    snprintf(path, sizeof path, "/exec/%s/resize?h=%u&w=%u", id, rows, cols);
    return engine_start(engine, "POST", path, NULL, ENGINE_CONTROL_MS, err);
}

struct http_call *exec_inspect(struct engine *engine, const char *id, struct error **err)
{
    char path[PATH_SIZE];

    snprintf(path, sizeof path, "/exec/%s/json", id);
    return engine_start(engine, "GET", path, NULL, ENGINE_CONTROL_MS, err);
}

int exec_read_state(struct json_object *reply, struct exec_state *state, struct error **err)
{
    struct json_object *running = reply_member(reply, "Running", json_type_boolean);
    struct json_object *code = reply_member(reply, "ExitCode", json_type_int);
    struct json_object *pid = reply_member(reply, "Pid", json_type_int);

    *state = (struct exec_state){.status = -1};
    state->running = !running || json_object_get_boolean(running);
    if (code)
        state->status = json_object_get_int(code);
    if (pid && json_object_get_int(pid) > 1)
        state->pid = json_object_get_int(pid);
    container_read_id(reply, "ContainerID", state->container);
    if (!running || (!state->running && (state->status < 0 || state->status > 255)))
        return error_set(err, 0, "engine: exec: the answer has no Running and ExitCode");
    return 0;
}

int exec_state_read(struct http_call *inspect, struct exec_state *state, struct error **err)
{
    *state = (struct exec_state){.status = -1};
    if (http_call_result(inspect, err) < 0)
        return -1;
    struct json_object *reply = reply_object(inspect);
    if (!reply)
        return error_set_kind(err, ERROR_LOST, "the container engine went away");
    int rc = exec_read_state(reply, state, err);
    json_object_put(reply);
    return rc;
}
