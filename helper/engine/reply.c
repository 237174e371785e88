#include "config.h"

#include "engine/reply.h"

#include <json-c/json.h>
#include <string.h>

enum { MESSAGE_MAX = 600 };

struct json_object *reply_parse(const char *body)
{
    struct json_object *reply = json_tokener_parse(body);

    if (reply && !json_object_is_type(reply, json_type_object)) {
        json_object_put(reply);
        reply = NULL;
    }
    return reply;
}

struct json_object *reply_object(const struct http_call *call)
{
    return reply_parse(http_call_body(call, NULL));
}

struct json_object *reply_member(struct json_object *o, const char *key, enum json_type type)
{
    struct json_object *value = NULL;

    return json_object_object_get_ex(o, key, &value) && json_object_is_type(value, type) ? value
                                                                                         : NULL;
}

char *reply_message(const char *body)
{
    struct json_object *reply = reply_parse(body);
    struct json_object *message = reply ? reply_member(reply, "message", json_type_string) : NULL;
    const char *said = message ? json_object_get_string(message) : body;
    size_t len = strnlen(said, MESSAGE_MAX);

    while (len > 0 && (said[len - 1] == '\n' || said[len - 1] == '\r'))
        len--;
    char *copy = strndup(said, len);
    json_object_put(reply);
    return copy;
}
