#include "config.h"

#include "policy/create.h"

#include <errno.h>
#include <json-c/json.h>
#include <string.h>

int create_check(const char *text, size_t len, struct error **err)
{
    struct json_tokener *tokener = json_tokener_new();

    if (!tokener)
        return error_set(err, ENOMEM, "cannot read it");
    json_tokener_set_flags(tokener, JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8);
    /* With the NUL: without it a number or a word would seem to go on. */
    struct json_object *object = json_tokener_parse_ex(tokener, text, (int)len + 1);
    enum json_tokener_error failure = json_tokener_get_error(tokener);
    size_t end = json_tokener_get_parse_end(tokener);
    int result = 0;
    if (failure != json_tokener_success)
        result = error_set(err, 0, "not JSON: %s at byte %zu", json_tokener_error_desc(failure),
                           end);
    else if (!json_object_is_type(object, json_type_object))
        result = error_set(err, 0, "not a JSON object: it must begin with \"{\"");
    else if (end + strspn(text + end, " \t\r\n") != len)
        result = error_set(err, 0, "has something after the JSON object, at byte %zu", end);
    json_object_put(object);
    json_tokener_free(tokener);
    return result;
}
