#include "config.h"

#include "engine/listing.h"

#include "engine/reply.h"

#include <errno.h>
#include <json-c/json.h>
#include <string.h>

const char *listed_label(const struct listed *container, const char *key)
{
    struct json_object *value = container->labels
                                    ? reply_member(container->labels, key, json_type_string)
                                    : NULL;

    return value ? json_object_get_string(value) : NULL;
}

/* Of "/name" and the "/other/alias" that links made, the name. */
static const char *name_of(struct json_object *container)
{
    struct json_object *names = reply_member(container, "Names", json_type_array);

    for (size_t i = 0; names && i < json_object_array_length(names); i++) {
        struct json_object *item = json_object_array_get_idx(names, i);
        const char *name = json_object_is_type(item, json_type_string)
                               ? json_object_get_string(item)
                               : "";
        if (name[0] == '/' && !strchr(name + 1, '/'))
            return name + 1;
    }
    return "";
}

static void visit_one(struct json_object *o, listing_visit *visit, void *data)
{
    struct json_object *id = NULL, *created = NULL, *state = NULL;
    struct listed container = {0};

    if (!json_object_is_type(o, json_type_object) ||
        !(id = reply_member(o, "Id", json_type_string)))
        return;
    container.id = json_object_get_string(id);
    container.name = name_of(o);
    if ((created = reply_member(o, "Created", json_type_int)))
        container.created = json_object_get_int64(created);
    state = reply_member(o, "State", json_type_string);
    container.started = !state || strcmp(json_object_get_string(state), "created") != 0;
    container.dead = state && strcmp(json_object_get_string(state), "dead") == 0;
    container.labels = reply_member(o, "Labels", json_type_object);
    /* It goes into paths. */
    if (container.id[0] && container.id[strspn(container.id, "0123456789abcdef")] == '\0')
        visit(data, &container);
}

int listing_read(const char *text, listing_visit *visit, void *data, struct error **err)
{
    struct json_object *list = json_tokener_parse(text);

    if (!json_object_is_type(list, json_type_array)) {
        json_object_put(list);
        return error_set(err, 0, "engine: list: the answer is not a list of containers");
    }
    for (size_t i = 0; i < json_object_array_length(list); i++)
        visit_one(json_object_array_get_idx(list, i), visit, data);
    json_object_put(list);
    return 0;
}

/* {"label":["berth.machine=3d12...","berth.runtime=/run/berth"]} */
static int add_filters(struct text *path, const struct strings *labels)
{
    struct json_object *filters = json_object_new_object(), *list = json_object_new_array();

    json_object_object_add(filters, "label", list);
    for (size_t i = 0; i < labels->count; i++)
        json_object_array_add(list, json_object_new_string(labels->items[i]));
    const char *text = json_object_to_json_string_ext(filters, JSON_C_TO_STRING_PLAIN);
    if (text)
        text_add_percent(path, text, strlen(text));
    json_object_put(filters);
    return path->failed || !text ? -1 : 0;
}

int listing_run(struct engine *engine, const struct strings *labels, listing_visit *visit,
                void *data, struct error **err)
{
    cleanup_text struct text path = {0};

    text_puts(&path, "/containers/json?all=1&filters=");
    if (add_filters(&path, labels) < 0)
        return error_set(err, ENOMEM, "engine: list");
    struct http_request request = {
        .method = "GET", .path = text_str(&path), .timeout_ms = ENGINE_CONTROL_MS};
    cleanup_call struct http_call *call = http_start(engine_http(engine), &request, err);
    if (!call || http_finish(engine_http(engine), call, err) < 0)
        return -1;
    return listing_read(http_call_body(call, NULL), visit, data, err);
}
