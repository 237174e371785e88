#include "config.h"

#include "engine/pull.h"

#include <json-c/json.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LAYERS_MAX = 256, MESSAGE_MAX = 1024 * 1024, FAILURE_MAX = 600 };

struct layer {
    char id[80];
    long long done, total;
    bool finished;
};

struct pull {
    struct json_tokener *tokener;
    size_t message_len; /* of the object that is being read */
    struct layer layers[LAYERS_MAX];
    unsigned layer_count;
    image_progress *progress;
    void *data;
    char *failure; /* what the engine or the reader said; NULL: nothing yet */
};

struct pull *pull_new(image_progress *progress, void *data)
{
    struct pull *pull = calloc(1, sizeof *pull);

    if (!pull)
        return NULL;
    pull->progress = progress;
    pull->data = data;
    pull->tokener = json_tokener_new();
    if (!pull->tokener) {
        free(pull);
        return NULL;
    }
    return pull;
}

void pull_free(struct pull *pull)
{
    if (!pull)
        return;
    json_tokener_free(pull->tokener);
    free(pull->failure);
    free(pull);
}

static const char *member_string(struct json_object *o, const char *key)
{
    struct json_object *value;

    if (json_object_is_type(o, json_type_object) && json_object_object_get_ex(o, key, &value) &&
        json_object_is_type(value, json_type_string))
        return json_object_get_string(value);
    return NULL;
}

/* Of a layer, by its registry's word: so that the sum of all is a number, too. */
static long long member_size(struct json_object *o, const char *key)
{
    const long long most = LLONG_MAX / LAYERS_MAX;
    struct json_object *value;

    if (!json_object_is_type(o, json_type_object) || !json_object_object_get_ex(o, key, &value) ||
        !json_object_is_type(value, json_type_int))
        return 0;
    long long size = json_object_get_int64(value);
    return size < 0 ? 0 : size < most ? size : most;
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
        layer->done = member_size(detail, "current");
        layer->total = member_size(detail, "total");
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

int pull_take(void *data, const char *bytes, size_t len)
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

int pull_end(const struct pull *pull, int rc, struct error **err)
{
    if (pull->failure) {
        error_clear(err);
        return error_set(err, 0, "%s", pull->failure);
    }
    if (rc == 0 && pull->message_len > 0)
        return error_set_kind(err, ERROR_LOST, "the engine broke off");
    return rc;
}
