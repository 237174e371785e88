#include "config.h"

#include "engine/image.h"

#include "base/text.h"
#include "engine/reply.h"

#include <errno.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LAYERS_MAX = 256, MESSAGE_MAX = 1024 * 1024, FAILURE_MAX = 600 };

struct layer {
    char id[80];
    long long done, total;
    bool finished;
};

/* The reply is a stream of JSON objects, one after the other. */
struct pull {
    struct json_tokener *tokener;
    size_t message_len; /* of the object that is being read */
    struct layer layers[LAYERS_MAX];
    unsigned layer_count;
    image_progress *progress;
    void *data;
    char *failure; /* what the engine or the reader said; NULL: nothing yet */
};

void image_read_id(struct json_object *reply, const char *key, char id[IMAGE_ID_SIZE])
{
    static const char scheme[] = "sha256:";
    const char *text = json_object_get_string(reply_member(reply, key, json_type_string));
    size_t skip = sizeof scheme - 1;

    id[0] = '\0';
    if (text && strncmp(text, scheme, skip) == 0 &&
        strspn(text + skip, "0123456789abcdef") == IMAGE_ID_SIZE - 1 &&
        text[skip + IMAGE_ID_SIZE - 1] == '\0')
        memcpy(id, text + skip, IMAGE_ID_SIZE);
}

int image_ask(struct engine *engine, const char *image, char id[IMAGE_ID_SIZE], struct error **err)
{
    cleanup_text struct text path = {0};

    text_puts(&path, "/images/");
    text_add_percent(&path, image, strlen(image));
    text_puts(&path, "/json");
    if (path.failed)
        return error_set(err, ENOMEM, "image %s", image);
    cleanup_call struct http_call *call = engine_start(engine, "GET", path.data, NULL,
                                                       ENGINE_CONTROL_MS, err);
    if (!call || http_finish(engine_http(engine), call, err) < 0)
        return -1;
    struct json_object *reply = reply_object(call);
    image_read_id(reply, "Id", id);
    json_object_put(reply);
    return id[0] ? 0 : error_set(err, 0, "engine: image %s: the answer has no Id", image);
}

static const char *member_string(struct json_object *o, const char *key)
{
    struct json_object *value;

    if (json_object_is_type(o, json_type_object) && json_object_object_get_ex(o, key, &value) &&
        json_object_is_type(value, json_type_string))
        return json_object_get_string(value);
    return NULL;
}

static long long member_number(struct json_object *o, const char *key)
{
    struct json_object *value;

    if (json_object_is_type(o, json_type_object) && json_object_object_get_ex(o, key, &value))
        return json_object_get_int64(value);
    return 0;
}

static struct layer *pull_layer(struct pull *pull, const char *id)
{
    for (unsigned i = 0; i < pull->layer_count; i++)
        if (strcmp(pull->layers[i].id, id) == 0)
            return &pull->layers[i];
    if (pull->layer_count == LAYERS_MAX || strlen(id) >= sizeof pull->layers->id)
        return NULL;
    struct layer *layer = &pull->layers[pull->layer_count++];
    snprintf(layer->id, sizeof layer->id, "%s", id);
    return layer;
}

static void pull_report(struct pull *pull, struct json_object *message, const char *id,
                        const char *status)
{
    struct json_object *detail = NULL;
    unsigned finished = 0;
    long long done = 0, total = 0;
    /* "Pulling from library/x" carries the tag as its id. */
    struct layer *layer = strncmp(status, "Pulling from", 12) == 0 ? NULL : pull_layer(pull, id);

    if (!layer)
        return;
    json_object_object_get_ex(message, "progressDetail", &detail);
    if (strcmp(status, "Downloading") == 0 && detail) {
        layer->done = member_number(detail, "current");
        layer->total = member_number(detail, "total");
    }
    layer->finished = strcmp(status, "Pull complete") == 0 || strcmp(status, "Already exists") == 0;
    if (layer->finished || strcmp(status, "Download complete") == 0)
        layer->done = layer->total;
    for (unsigned i = 0; i < pull->layer_count; i++) {
        finished += pull->layers[i].finished;
        done += pull->layers[i].done;
        total += pull->layers[i].total;
    }
    pull->progress(pull->data, pull->layer_count, finished, done, total);
}

static int pull_message(struct pull *pull, struct json_object *message)
{
    struct json_object *detail = NULL;
    const char *failure = NULL;

    if (json_object_is_type(message, json_type_object) &&
        json_object_object_get_ex(message, "errorDetail", &detail))
        failure = member_string(detail, "message");
    if (!failure)
        failure = member_string(message, "error");
    if (failure) {
        pull->failure = strndup(failure, FAILURE_MAX);
        return -1;
    }
    const char *id = member_string(message, "id"), *status = member_string(message, "status");
    if (pull->progress && id && status)
        pull_report(pull, message, id, status);
    return 0;
}

static int pull_bytes(void *data, const char *bytes, size_t len)
{
    struct pull *pull = data;

    while (len > 0) {
        /* Blanks between objects would make the tokener wait for one more. */
        if (pull->message_len == 0 && strchr(" \t\r\n", *bytes)) {
            bytes++;
            len--;
            continue;
        }
        int piece = len > 65536 ? 65536 : (int)len;
        struct json_object *message = json_tokener_parse_ex(pull->tokener, bytes, piece);
        size_t eaten = json_tokener_get_parse_end(pull->tokener);
        if (message) {
            int rc = pull_message(pull, message);
            json_object_put(message);
            pull->message_len = 0;
            json_tokener_reset(pull->tokener);
            if (rc < 0)
                return -1;
        } else if (json_tokener_get_error(pull->tokener) == json_tokener_continue) {
            pull->message_len += eaten;
            if (pull->message_len > MESSAGE_MAX) {
                pull->failure = strdup("a progress message has no end");
                return -1;
            }
        } else {
            pull->failure = strdup("the progress is no JSON");
            return -1;
        }
        bytes += eaten;
        len -= eaten;
    }
    return 0;
}

/* The query: fromImage and tag; a digest goes where the tag goes. */
static void pull_path(struct text *path, const char *image)
{
    const char *slash = strrchr(image, '/');
    const char *at = strchr(image, '@');
    const char *colon = strrchr(slash ? slash : image, ':');
    const char *split = at ? at : colon;
    size_t name = split ? (size_t)(split - image) : strlen(image);

    text_puts(path, "/images/create?fromImage=");
    text_add_percent(path, image, name);
    text_puts(path, "&tag=");
    if (split)
        text_add_percent(path, split + 1, strlen(split + 1));
    else
        text_puts(path, "latest");
}

static int pull_run(struct engine *engine, struct pull *pull, const char *path, const char *header,
                    struct error **err)
{
    struct http_request request = {.method = "POST",
                                   .path = path,
                                   .header = header,
                                   .idle_ms = ENGINE_PULL_IDLE_MS,
                                   .sink = pull_bytes,
                                   .data = pull};
    cleanup_call struct http_call *call = http_start(engine_http(engine), &request, err);
    int rc = call ? http_finish(engine_http(engine), call, err) : -1;

    if (pull->failure) {
        error_clear(err);
        return error_set(err, 0, "%s", pull->failure);
    }
    if (rc == 0 && pull->message_len > 0)
        return error_set_kind(err, ERROR_LOST, "the engine broke off");
    return rc;
}

int image_pull(struct engine *engine, const char *image, const char *auth, image_progress *progress,
               void *data, struct error **err)
{
    struct pull *pull = calloc(1, sizeof *pull);
    struct json_tokener *tokener = json_tokener_new();
    cleanup_text struct text path = {0};
    cleanup_string char *header = auth ? text_format("X-Registry-Auth: %s", auth) : NULL;
    int rc;

    pull_path(&path, image);
    if (!pull || !tokener || path.failed || (auth && !header)) {
        rc = error_set(err, ENOMEM, "pull");
    } else {
        pull->tokener = tokener;
        pull->progress = progress;
        pull->data = data;
        rc = pull_run(engine, pull, path.data, header, err);
    }
    if (rc < 0)
        error_wrap(err, "cannot pull image %s", image);
    if (tokener)
        json_tokener_free(tokener);
    if (pull)
        free(pull->failure);
    free(pull);
    if (header)
        explicit_bzero(header, strlen(header));
    return rc;
}
