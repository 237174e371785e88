/* The engine's answers, which are JSON. */
#ifndef BERTH_ENGINE_REPLY_H
#define BERTH_ENGINE_REPLY_H

#include "engine/http.h"

#include <json-c/json_types.h>

/* The reply's JSON object, which the caller puts; or NULL. */
struct json_object *reply_object(const struct http_call *call);
struct json_object *reply_parse(const char *body);
/* The member of that type, borrowed; NULL where there is none. */
struct json_object *reply_member(struct json_object *o, const char *key, enum json_type type);

/* The engine's own words, which the caller frees: {"message": "..."}, else the body as it is. */
char *reply_message(const char *body);

#endif
