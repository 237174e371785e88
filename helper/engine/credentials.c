#include "config.h"

#include "engine/credentials.h"

#include "base/base64.h"
#include "base/text.h"

#include <errno.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>

#define DOCKER_HUB "https://index.docker.io/v1/"

/* The registry's key in "auths": what stands before the first "/" where it
 * looks like a host (docker's own rule: a dot, a colon, or "localhost"). */
static char *registry_of(const char *image)
{
    size_t len = strcspn(image, "/");

    if (image[len] == '/' && (memchr(image, '.', len) || memchr(image, ':', len) ||
                              (len == 9 && memcmp(image, "localhost", 9) == 0)))
        return strndup(image, len);
    return strdup(DOCKER_HUB);
}

static char *auth_encode(const char *user, const char *password, const char *registry)
{
    struct json_object *o = json_object_new_object();

    json_object_object_add(o, "username", json_object_new_string(user));
    json_object_object_add(o, "password", json_object_new_string(password));
    json_object_object_add(o, "serveraddress", json_object_new_string(registry));
    const char *json = json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN);
    char *out = json ? base64_url(json, strlen(json)) : NULL;
    json_object_put(o);
    return out;
}

/* "user:password" in base64 -> X-Registry-Auth; NULL in *auth for an empty one. */
static int auth_recode(const char *encoded, const char *registry, char **auth, struct error **err)
{
    size_t size = strlen(encoded) + 1;
    char *plain = malloc(size);
    int rc = 0;

    if (size == 1) {
        free(plain);
        return 0;
    }
    ssize_t len = plain ? base64_decode(encoded, (unsigned char *)plain) : 0;
    char *colon = len > 0 ? memchr(plain, ':', (size_t)len) : NULL;
    if (!colon) {
        rc = error_set(err, plain ? 0 : ENOMEM, "\"auth\" of %s is not base64 of user:password",
                       registry);
    } else {
        plain[len] = '\0';
        *colon = '\0';
        *auth = auth_encode(plain, colon + 1, registry);
        if (!*auth)
            rc = error_set(err, ENOMEM, "credentials");
    }
    if (plain)
        explicit_bzero(plain, size);
    free(plain);
    return rc;
}

int credentials_find(const char *config, const char *image, char **auth, struct error **err)
{
    cleanup_string char *registry = registry_of(image);
    struct json_object *root = json_tokener_parse(config), *auths, *entry = NULL, *value = NULL;
    int rc = 0;

    *auth = NULL;
    if (!registry || !root || !json_object_is_type(root, json_type_object))
        rc = error_set(err, registry ? 0 : ENOMEM, "no JSON object");
    else if (json_object_object_get_ex(root, "auths", &auths) &&
             json_object_is_type(auths, json_type_object) &&
             json_object_object_get_ex(auths, registry, &entry) &&
             json_object_is_type(entry, json_type_object) &&
             json_object_object_get_ex(entry, "auth", &value) &&
             json_object_is_type(value, json_type_string))
        rc = auth_recode(json_object_get_string(value), registry, auth, err);
    json_object_put(root);
    return rc;
}
