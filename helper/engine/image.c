#include "config.h"

#include "engine/image.h"

#include "base/text.h"
#include "engine/pull.h"
#include "engine/reply.h"

#include <errno.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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
                                   .sink = pull_take,
                                   .data = pull};
    cleanup_call struct http_call *call = http_start(engine_http(engine), &request, err);
    int rc = call ? http_finish(engine_http(engine), call, err) : -1;

    return pull_end(pull, rc, err);
}

int image_pull(struct engine *engine, const char *image, const char *auth, image_progress *progress,
               void *data, struct error **err)
{
    struct pull *pull = pull_new(progress, data);
    cleanup_text struct text path = {0};
    cleanup_string char *header = auth ? text_format("X-Registry-Auth: %s", auth) : NULL;
    int rc;

    pull_path(&path, image);
    if (!pull || path.failed || (auth && !header))
        rc = error_set(err, ENOMEM, "pull");
    else
        rc = pull_run(engine, pull, path.data, header, err);
    if (rc < 0)
        error_wrap(err, "cannot pull image %s", image);
    pull_free(pull);
    if (header)
        explicit_bzero(header, strlen(header));
    return rc;
}
