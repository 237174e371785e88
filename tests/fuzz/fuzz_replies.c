/* What the engine answers, in JSON. What is read of it goes into paths and into messages,
 * stands for processes, and says how a session has ended. */
#include "config.h"

#include "claim.h"

#include "base/text.h"
#include "engine/container.h"
#include "engine/exec.h"
#include "engine/listing.h"
#include "engine/pull.h"
#include "engine/reply.h"

#include <json-c/json.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool is_hex(const char *s)
{
    return s[strspn(s, "0123456789abcdef")] == '\0';
}

/* An id, or that none is known. */
static bool is_id(const char *s)
{
    return s[0] == '\0' || (is_hex(s) && strlen(s) == CONTAINER_ID_SIZE - 1);
}

static void take_label(void *data, const char *key, const char *value)
{
    size_t *count = data;

    *count += strlen(key) + strlen(value) + 1;
}

static void check_container(struct json_object *reply)
{
    struct container_state state;
    cleanup_error struct error *err = NULL;
    size_t labels = 0;

    int rc = container_read_state(reply, &state, take_label, &labels, &err);
    claim((rc < 0) == (err != NULL) && (rc == 0 || labels == 0));
    claim(is_id(state.id) && is_id(state.image) && state.pid >= 0);
}

static void check_ends(struct json_object *reply)
{
    cleanup_error struct error *container = NULL, *exec = NULL;
    struct exec_state state;
    int status = -1;

    int rc = container_read_status(reply, &status, &container);
    claim(rc == 0 ? status >= 0 && status <= 255 : status == -1 && container);
    rc = exec_read_state(reply, &state, &exec);
    claim((rc < 0) == (exec != NULL));
    claim(rc < 0 || state.running || (state.status >= 0 && state.status <= 255));
    claim(is_id(state.container) && (state.pid == 0 || state.pid > 1));
}

static void check_ids(struct json_object *reply)
{
    cleanup_error struct error *err = NULL;
    char exec[EXEC_ID_SIZE] = "", image[IMAGE_ID_SIZE];
    cleanup_string char *runtime = engine_read_runtime(reply);

    int rc = exec_read_id(reply, exec, &err);
    claim(rc == 0 ? exec[0] && is_hex(exec) : exec[0] == '\0' && err);
    image_read_id(reply, "Id", image);
    claim(is_id(image) && (reply || !runtime));
}

static void take_listed(void *data, const struct listed *container)
{
    const char *user = listed_label(container, "berth.user");

    (void)data;
    claim(container->id[0] && is_hex(container->id) && !strchr(container->name, '/'));
    claim(!user || strlen(user) < SIZE_MAX);
}

static void check_texts(const char *text)
{
    cleanup_error struct error *list = NULL, *ping = NULL;
    cleanup_string char *message = reply_message(text);
    size_t len = message ? strlen(message) : 0;

    claim(message && len <= 600 && (len == 0 || message[len - 1] != '\n'));
    int rc = listing_read(text, take_listed, NULL, &list);
    claim((rc < 0) == (list != NULL));
    rc = engine_read_version(text, &ping);
    claim(rc < 0 ? ping != NULL : rc >= 30 && rc <= 47);
}

/* What a pull has told, all in all. */
struct told {
    unsigned count, layers, layers_done;
    long long done, total;
};

static void take_progress(void *data, unsigned layers, unsigned layers_done, long long done,
                          long long total)
{
    struct told *told = data;

    claim(layers > 0 && layers_done <= layers && done >= 0 && total >= 0);
    *told = (struct told){told->count + 1, layers, layers_done, done, total};
}

static int pull(const uint8_t *data, size_t size, size_t piece, struct told *told,
                struct error **err)
{
    struct pull *pull = pull_new(take_progress, told);
    int rc = 0;

    for (size_t at = 0; pull && rc == 0 && at < size; at += piece) {
        size_t len = size - at < piece ? size - at : piece;
        char *copy = malloc(len);
        if (!copy)
            break;
        memcpy(copy, data + at, len);
        rc = pull_take(pull, copy, len);
        free(copy);
    }
    if (pull)
        rc = pull_end(pull, rc, err);
    pull_free(pull);
    return rc;
}

static bool is_no_json(const struct error *err)
{
    return strcmp(error_text(err), "the progress is no JSON") == 0;
}

static void check_pull(const uint8_t *data, size_t size)
{
    cleanup_error struct error *one = NULL, *other = NULL;
    struct told whole = {0}, pieces = {0};
    int rc = pull(data, size, size, &whole, &one);

    claim((rc < 0) == (one != NULL));
    int again = pull(data, size, 1 + size % 7, &pieces, &other);
    claim((again < 0) == (other != NULL));
    /* By the pieces goes what json-c takes of a number that is none, and whether it sees that
     * a comment, as it knows them, begins behind an object. */
    if (is_no_json(one) || is_no_json(other) || memchr(data, '/', size))
        return;
    claim(again == rc && strcmp(error_text(one), error_text(other)) == 0);
    claim(whole.count == pieces.count && whole.layers == pieces.layers &&
          whole.layers_done == pieces.layers_done && whole.done == pieces.done &&
          whole.total == pieces.total);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = malloc(size + 1);

    if (!text)
        return 0;
    memcpy(text, data, size);
    text[size] = '\0';
    struct json_object *reply = reply_parse(text);
    check_container(reply);
    check_ids(reply);
    /* Of no answer the callers make another error. */
    if (reply)
        check_ends(reply);
    json_object_put(reply);
    check_texts(text);
    check_pull(data, size);
    free(text);
    return 0;
}
