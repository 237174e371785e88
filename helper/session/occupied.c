#include "config.h"

#include "session/occupied.h"

#include <json-c/json.h>
#include <string.h>
#include <strings.h>

struct place {
    const char *path, *above;
};

/* "/tmp/" is "/tmp". */
static bool is(const char *target, size_t len, const char *path)
{
    while (len > 1 && target[len - 1] == '/')
        len--;
    return len == strlen(path) && memcmp(target, path, len) == 0;
}

static bool takes(const struct place *place, const char *target, size_t len, bool read_only)
{
    return is(target, len, place->path) || (read_only && is(target, len, place->above));
}

/* As the engine's decoder finds it (Go, encoding/json): whatever its case. */
static struct json_object *get(struct json_object *o, const char *name)
{
    if (!json_object_is_type(o, json_type_object))
        return NULL;
    json_object_object_foreach(o, key, value)
    {
        if (strcasecmp(key, name) == 0)
            return value;
    }
    return NULL;
}

static bool key_takes(const struct place *place, struct json_object *o)
{
    if (!json_object_is_type(o, json_type_object))
        return false;
    json_object_object_foreach(o, key, value)
    {
        (void)value;
        if (takes(place, key, strlen(key), false))
            return true;
    }
    return false;
}

static bool mount_takes(const struct place *place, struct json_object *mounts)
{
    size_t count = json_object_is_type(mounts, json_type_array) ? json_object_array_length(mounts)
                                                                : 0;

    for (size_t i = 0; i < count; i++) {
        struct json_object *mount = json_object_array_get_idx(mounts, i);
        const char *target = json_object_get_string(get(mount, "Target"));
        if (target &&
            takes(place, target, strlen(target), json_object_get_boolean(get(mount, "ReadOnly"))))
            return true;
    }
    return false;
}

/* "/srv/tmp:/tmp:ro" */
static bool bind_takes(const struct place *place, struct json_object *binds)
{
    size_t count = json_object_is_type(binds, json_type_array) ? json_object_array_length(binds)
                                                               : 0;

    for (size_t i = 0; i < count; i++) {
        const char *bind = json_object_get_string(json_object_array_get_idx(binds, i));
        const char *colon = bind ? strchr(bind, ':') : NULL;
        if (!colon)
            continue;
        const char *target = colon + 1, *options = target + strcspn(target, ":");
        if (takes(place, target, (size_t)(options - target), strstr(options, "ro") != NULL))
            return true;
    }
    return false;
}

static bool create_takes(const struct place *place, const char *create)
{
    struct json_object *body = json_tokener_parse(create), *host = get(body, "HostConfig");

    bool taken = key_takes(place, get(body, "Volumes")) || key_takes(place, get(host, "Tmpfs")) ||
                 mount_takes(place, get(host, "Mounts")) || bind_takes(place, get(host, "Binds"));
    json_object_put(body);
    return taken;
}

bool occupied(const struct policy *policy, const char *path, const char *above)
{
    const struct place place = {path, above};

    for (size_t i = 0; i < policy->mount_count; i++) {
        const struct mount *mount = &policy->mounts[i];
        if (takes(&place, mount->target, strlen(mount->target), mount->read_only))
            return true;
    }
    for (size_t i = 0; i < policy->tmpfs_count; i++)
        if (takes(&place, policy->tmpfs[i].target, strlen(policy->tmpfs[i].target), false))
            return true;
    return policy->create && create_takes(&place, policy->create);
}
