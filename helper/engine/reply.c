#include "config.h"

#include "engine/reply.h"

#include <json-c/json.h>

struct json_object *reply_object(const struct http_call *call)
{
    struct json_object *reply = json_tokener_parse(http_call_body(call, NULL));

    if (reply && !json_object_is_type(reply, json_type_object)) {
        json_object_put(reply);
        reply = NULL;
    }
    return reply;
}

struct json_object *reply_member(struct json_object *o, const char *key, enum json_type type)
{
    struct json_object *value = NULL;

    return json_object_object_get_ex(o, key, &value) && json_object_is_type(value, type) ? value
                                                                                         : NULL;
}
