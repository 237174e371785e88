#include "config.h"

#include "session/spec.h"

#include "policy/home.h"
#include "policy/value.h"
#include "protocol/message.h"
#include "session/command.h"
#include "session/environment.h"
#include "session/identity.h"
#include "session/sftp.h"
#include "session/x11_place.h"

#include <errno.h>
#include <inttypes.h>
#include <json-c/json.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

/* What NetworkDisabled leaves empty. Root's, so that nobody can put another
 * file in its place. */
#define HOSTS_FILE BERTH_DATADIR "/hosts"

static void set_string(struct json_object *o, const char *key, const char *value)
{
    if (value)
        json_object_object_add(o, key, json_object_new_string(value));
}

static void set_bool(struct json_object *o, const char *key, bool value)
{
    json_object_object_add(o, key, json_object_new_boolean(value));
}

static void set_number(struct json_object *o, const char *key, long long value)
{
    json_object_object_add(o, key, json_object_new_int64(value));
}

static void set_strings(struct json_object *o, const char *key, const struct strings *list)
{
    struct json_object *array = json_object_new_array();

    for (size_t i = 0; i < list->count; i++)
        json_object_array_add(array, json_object_new_string(list->items[i]));
    json_object_object_add(o, key, array);
}

/* The object at `key`, made where there is none (or something else). */
static struct json_object *object_at(struct json_object *o, const char *key)
{
    struct json_object *found = NULL;

    if (json_object_object_get_ex(o, key, &found) && json_object_is_type(found, json_type_object))
        return found;
    found = json_object_new_object();
    json_object_object_add(o, key, found);
    return found;
}

static struct json_object *add_mount(struct json_object *mounts, const char *type,
                                     const char *source, const char *target, bool read_only)
{
    struct json_object *m = json_object_new_object();

    set_string(m, "Type", type);
    set_string(m, "Source", source);
    set_string(m, "Target", target);
    set_bool(m, "ReadOnly", read_only);
    json_object_array_add(mounts, m);
    return m;
}

static void set_limits(struct json_object *host, const struct policy *p)
{
    if (p->memory)
        set_number(host, "Memory", p->memory);
    if (p->memory_swap)
        set_number(host, "MemorySwap", p->memory_swap);
    if (p->nano_cpus)
        set_number(host, "NanoCpus", p->nano_cpus);
    set_number(host, "PidsLimit", p->pids);
    set_string(host, "CgroupParent", p->cgroup_parent);
    struct json_object *ulimits = json_object_new_array();
    for (size_t i = 0; i < p->ulimit_count; i++) {
        struct json_object *u = json_object_new_object();
        set_string(u, "Name", p->ulimits[i].name);
        set_number(u, "Soft", p->ulimits[i].soft);
        set_number(u, "Hard", p->ulimits[i].hard);
        json_object_array_add(ulimits, u);
    }
    json_object_object_add(host, "Ulimits", ulimits);
}

static void set_privileges(struct json_object *host, const struct policy *p)
{
    set_strings(host, "CapAdd", &p->cap_add);
    set_strings(host, "CapDrop", &p->cap_drop);
    set_strings(host, "SecurityOpt", &p->security_opt);
    if (p->no_new_privileges)
        json_object_array_add(json_object_object_get(host, "SecurityOpt"),
                              json_object_new_string("no-new-privileges"));
    set_bool(host, "ReadonlyRootfs", p->read_only);
    set_string(host, "Runtime", p->runtime);
    set_bool(host, "Init", p->init);
    struct json_object *devices = json_object_new_array();
    for (size_t i = 0; i < p->device_count; i++) {
        struct json_object *d = json_object_new_object();
        set_string(d, "PathOnHost", p->devices[i].host);
        set_string(d, "PathInContainer", p->devices[i].container);
        set_string(d, "CgroupPermissions", p->devices[i].access);
        json_object_array_add(devices, d);
    }
    json_object_object_add(host, "Devices", devices);
}

/* Numbers: names would be the image's. */
static void set_groups(struct json_object *host, const struct policy *p)
{
    struct json_object *array;

    if (p->group_ids.count == 0)
        return;
    array = json_object_new_array();
    for (size_t i = 0; i < p->group_ids.count; i++) {
        const char *group = p->group_ids.items[i];
        json_object_array_add(array, json_object_new_string_len(group, (int)strcspn(group, ":")));
    }
    json_object_object_add(host, "GroupAdd", array);
}

static void set_files(struct json_object *host, const struct policy *p)
{
    struct json_object *mounts = json_object_new_array();
    struct json_object *tmpfs = json_object_new_object();

    for (size_t i = 0; i < p->mount_count; i++) {
        const struct mount *mount = &p->mounts[i];
        struct json_object *m = add_mount(mounts, mount->volume ? "volume" : "bind", mount->source,
                                          mount->target, mount->read_only);
        /* A home that is still empty would get the owner of the image's directory at
         * that path, in place of the one that it was given. */
        if (mount->volume && home_is(p, mount))
            set_bool(object_at(m, "VolumeOptions"), "NoCopy", true);
    }
    for (size_t i = 0; i < p->tmpfs_count; i++)
        set_string(tmpfs, p->tmpfs[i].target, p->tmpfs[i].options);
    json_object_object_add(host, "Mounts", mounts);
    json_object_object_add(host, "Tmpfs", tmpfs);
}

/* Setting up even an empty network costs a hook; a container without one has
 * its own namespace with lo up all the same, and lacks only /etc/hosts. After the
 * merge: `create` may want another network. */
static void set_no_network(struct json_object *body, const struct policy *p, bool local)
{
    struct json_object *host = object_at(body, "HostConfig"), *mode = NULL, *mounts = NULL;

    if (!local || !json_object_object_get_ex(host, "NetworkMode", &mode) ||
        !json_object_is_type(mode, json_type_string) ||
        strcmp(json_object_get_string(mode), "none") != 0 || access(HOSTS_FILE, R_OK) < 0)
        return;
    set_bool(body, "NetworkDisabled", true);
    for (size_t i = 0; i < p->mount_count; i++)
        if (strcmp(p->mounts[i].target, "/etc/hosts") == 0)
            return;
    if (json_object_object_get_ex(host, "Mounts", &mounts) &&
        json_object_is_type(mounts, json_type_array))
        add_mount(mounts, "bind", HOSTS_FILE, "/etc/hosts", true);
}

/* The host's or another container's network comes with its name: the engine takes none
 * beside it. */
static bool has_network_of_its_own(struct json_object *host)
{
    static const char other[] = "container:";
    struct json_object *mode = NULL;

    if (!json_object_object_get_ex(host, "NetworkMode", &mode) ||
        !json_object_is_type(mode, json_type_string))
        return true;
    return strcmp(json_object_get_string(mode), "host") != 0 &&
           strncmp(json_object_get_string(mode), other, sizeof other - 1) != 0;
}

/* sshd is to enter the container's network: `create` must not have made it another's. */
static int check_network(struct json_object *body, const struct policy *p, struct error **err)
{
    struct json_object *host = object_at(body, "HostConfig");

    if (!p->forwarding || has_network_of_its_own(host))
        return 0;
    return error_set(
        err, 0,
        "create: NetworkMode \"%s\" can't be had with forwarding = container: it is no "
        "network of the container's own",
        json_object_get_string(json_object_object_get(host, "NetworkMode")));
}

/* The engine takes none of these beside another container's network: they are that
 * one's. */
static void join_network(struct json_object *body, const char *network)
{
    static const char *const of_body[] = {"Hostname",     "Domainname",       "MacAddress",
                                          "ExposedPorts", "NetworkingConfig", "NetworkDisabled"};
    static const char *const of_host[] = {
        "Dns", "DnsOptions", "DnsSearch", "ExtraHosts", "PortBindings", "PublishAllPorts", "Links"};
    struct json_object *host = object_at(body, "HostConfig");

    for (size_t i = 0; i < sizeof of_body / sizeof *of_body; i++)
        json_object_object_del(body, of_body[i]);
    for (size_t i = 0; i < sizeof of_host / sizeof *of_host; i++)
        json_object_object_del(host, of_host[i]);
    set_string(host, "NetworkMode", network);
}

/* This machine's, as a prompt on it has: after the merge, since `create` may have said
 * another, or that the container is to have the host's with all that belongs to it. */
static void set_hostname(struct json_object *body, const struct policy *p)
{
    struct json_object *host = object_at(body, "HostConfig"), *said = NULL;
    cleanup_error struct error *unfit = NULL;
    char name[HOST_NAME_MAX + 1] = "";

    if (p->hostname || json_object_object_get_ex(body, "Hostname", &said) ||
        (json_object_object_get_ex(host, "UTSMode", &said) &&
         json_object_get_string_len(said) > 0) ||
        !has_network_of_its_own(host))
        return;
    if (gethostname(name, sizeof name - 1) < 0)
        return;
    name[strcspn(name, ".")] = '\0';
    if (value_hostname(name, &unfit) == 0)
        set_string(body, "Hostname", name);
}

/* The engine's decoder takes "hostconfig" for HostConfig, and U+212A for a k
 * (Go, encoding/json): then two keys would speak of one field. */
static int check_key(struct json_object *into, const char *key, struct error **err)
{
    for (const char *c = key; *c; c++)
        if ((unsigned char)*c >= 0x80)
            return error_set(err, 0, "create: %s: a field's name is ASCII", key);
    json_object_object_foreach(into, known, value)
    {
        (void)value;
        if (strcasecmp(known, key) == 0 && strcmp(known, key) != 0)
            return error_set(err, 0, "create: %s: write it as %s", key, known);
    }
    return 0;
}

/* sftp in a container that isn't the guest's: one of the session's own where it is sftp, else
 * any that shared sessions may come to. */
static bool wants_bundle(const struct policy *policy, const struct request *request,
                         const struct spec_context *context)
{
    if (context->process == SPEC_GUEST || !context->local || !sftp_wants_bundle(policy))
        return false;
    return context->process == SPEC_KEEPER || sftp_is_served(policy, request);
}

/* The guest's programs, and the container's folder where it has one, whatever
 * `create` says of mounts. */
static void set_guest_mounts(struct json_object *body, const struct policy *policy,
                             const struct request *request, const struct spec_context *context)
{
    struct json_object *host = object_at(body, "HostConfig"), *mounts = NULL;
    const bool programs = context->process == SPEC_GUEST || wants_bundle(policy, request, context);

    if (!programs && !context->folder)
        return;
    if (!json_object_object_get_ex(host, "Mounts", &mounts) ||
        !json_object_is_type(mounts, json_type_array)) {
        mounts = json_object_new_array();
        json_object_object_add(host, "Mounts", mounts);
    }
    if (programs)
        add_mount(mounts, "bind", BERTH_LIBEXECDIR "/guest", GUEST_DIR, true);
    if (context->folder)
        add_mount(mounts, "bind", context->folder, GUEST_RUN, true);
    if (context->folder && context->x11) {
        cleanup_string char *sockets = text_format("%s/" X11_FOLDER, context->folder);
        add_mount(mounts, "bind", sockets, X11_AT, true);
    }
}

/* Objects merge, everything else is replaced. What is an object here must be
 * one there: a null HostConfig would drop every limit with it. */
static int merge(struct json_object *into, struct json_object *from, struct error **err)
{
    json_object_object_foreach(from, key, value)
    {
        struct json_object *old = NULL;
        bool object = json_object_object_get_ex(into, key, &old) &&
                      json_object_is_type(old, json_type_object);
        if (check_key(into, key, err) < 0)
            return -1;
        if (object && !json_object_is_type(value, json_type_object))
            return error_set(err, 0, "create: %s must be an object", key);
        if (object && merge(old, value, err) < 0)
            return -1;
        if (!object)
            json_object_object_add(into, key, json_object_get(value));
    }
    return 0;
}

static int merge_create(struct json_object *body, const struct policy *p, struct error **err)
{
    struct json_object *create = p->create ? json_tokener_parse(p->create) : NULL;
    int rc = 0;

    if (p->create && !json_object_is_type(create, json_type_object))
        rc = error_set(err, 0, "create: not a JSON object");
    else if (create)
        rc = merge(body, create, err);
    json_object_put(create);
    return rc;
}

/* PID 1 is ours, and nobody's arguments stand behind it. */
static void set_guest(struct json_object *body, struct json_object *host)
{
    struct json_object *argv = json_object_new_array();

    json_object_array_add(argv, json_object_new_string(GUEST_DIR "/berth-guest"));
    json_object_object_add(body, "Entrypoint", argv);
    json_object_object_add(body, "Cmd", json_object_new_array());
    set_bool(host, "Init", false);
}

/* It stays until the container is ended, and reaps what sessions leave. */
static void set_keeper(struct json_object *body, struct json_object *host)
{
    struct json_object *argv = json_object_new_array();

    json_object_array_add(argv, json_object_new_string("sleep"));
    json_object_array_add(argv, json_object_new_string("2147483647"));
    json_object_object_add(body, "Entrypoint", argv);
    json_object_object_add(body, "Cmd", json_object_new_array());
    set_bool(host, "Init", true);
}

/* What no `create` field may change: whose the container is, and what the
 * attach channel and the clean-up stand on. */
static void set_fixed(struct json_object *body, const struct policy *p, const struct request *r,
                      const struct spec_context *context)
{
    struct json_object *host = object_at(body, "HostConfig");
    struct json_object *labels = object_at(body, "Labels");
    char uid[16];
    static const char *const scopes[] = {"session", "connection", "user"};
    bool session = context->process == SPEC_SESSION;
    bool keep = policy_keeps(p);

    set_bool(body, "Tty", r->tty && session);
    set_bool(body, "OpenStdin", session);
    set_bool(body, "StdinOnce", session);
    set_bool(body, "AttachStdin", session);
    set_bool(body, "AttachStdout", session);
    set_bool(body, "AttachStderr", session);
    /* The engine's restart kills what it is to remove: no session that could live on
     * without the engine. */
    set_bool(host, "AutoRemove", session);
    if (context->process == SPEC_GUEST)
        set_guest(body, host);
    if (context->process == SPEC_KEEPER)
        set_keeper(body, host);
    /* The image's is for what the image would have run. */
    if (!session)
        set_string(body, "StopSignal", "SIGTERM");
    snprintf(uid, sizeof uid, "%u", (unsigned)r->account.uid);
    set_string(labels, LABEL_MACHINE, context->machine);
    set_string(labels, LABEL_RUNTIME, p->runtime_dir);
    set_string(labels, LABEL_UID, uid);
    set_string(labels, LABEL_USER, r->account.name);
    set_string(labels, LABEL_SESSION, context->key);
    set_string(labels, LABEL_SCOPE, scopes[p->scope]);
    /* Said either way: an image may have the label too (docker commit). */
    set_string(labels, LABEL_KEEP, keep ? "1" : "0");
}

static void set_labels(struct json_object *body, const struct policy *p)
{
    struct json_object *labels = object_at(body, "Labels");

    for (size_t i = 0; i < p->labels.count; i++) {
        const char *label = p->labels.items[i];
        size_t key = strcspn(label, "=");
        char *name = strndup(label, key);
        if (name)
            set_string(labels, name, label[key] ? label + key + 1 : "");
        free_string(&name);
    }
}

/* Nothing of the image runs but what was asked for. */
static void set_process(struct json_object *body, const struct policy *p,
                        const struct strings *argv, const struct strings *env)
{
    struct json_object *health = object_at(body, "Healthcheck");
    struct json_object *test = json_object_new_array();

    json_object_array_add(test, json_object_new_string("NONE"));
    json_object_object_add(health, "Test", test);
    set_strings(body, "Entrypoint", argv);
    set_strings(body, "Env", env);
    set_string(body, "Image", p->image);
    set_string(body, "User", p->user);
    set_string(body, "WorkingDir", p->workdir);
    set_string(body, "Hostname", p->hostname);
}

static void set_console(struct json_object *host, const struct spec_context *context)
{
    if (!context->console_size || !context->has_window)
        return;
    struct json_object *size = json_object_new_array();
    json_object_array_add(size, json_object_new_int(context->window.ws_row));
    json_object_array_add(size, json_object_new_int(context->window.ws_col));
    json_object_object_add(host, "ConsoleSize", size);
}

/* What the engine starts: on the attach channel the session itself, else the
 * guest, which gets all that is the session's from us. */
static int make_session(struct strings *argv, struct strings *env, const struct policy *policy,
                        const struct request *request, const struct spec_context *context,
                        struct error **err)
{
    bool by_script = context->has_window && !context->console_size;
    const struct command_context command = {
        .size = by_script ? &context->window : NULL, .bundle = context->local, .sure = true};

    if (context->process != SPEC_SESSION)
        return 0;
    if (command_make(argv, policy, request, &command, err) < 0)
        return -1;
    return environment_make(env, policy, request, false, err);
}

struct json_object *spec_make(const struct policy *policy, const struct request *request,
                              const struct spec_context *context, struct error **err)
{
    cleanup_strings struct strings argv = {0}, env = {0};

    if (make_session(&argv, &env, policy, request, context, err) < 0)
        return NULL;
    struct json_object *body = json_object_new_object();
    if (!body) {
        error_set(err, ENOMEM, "create body");
        return NULL;
    }
    struct json_object *host = object_at(body, "HostConfig"), *log = object_at(host, "LogConfig");
    set_process(body, policy, &argv, &env);
    set_labels(body, policy);
    set_limits(host, policy);
    set_privileges(host, policy);
    set_files(host, policy);
    set_groups(host, policy);
    set_strings(host, "Dns", &policy->dns);
    set_string(host, "NetworkMode", policy->network);
    if (context->process == SPEC_SESSION)
        set_console(host, context);
    /* The engine's log would keep every byte of the session on the host. */
    set_string(log, "Type", "none");
    /* Before, so that the merge knows these names; after, so that they hold. */
    set_fixed(body, policy, request, context);
    if (merge_create(body, policy, err) < 0 || check_network(body, policy, err) < 0) {
        json_object_put(body);
        return NULL;
    }
    set_fixed(body, policy, request, context);
    set_guest_mounts(body, policy, request, context);
    set_no_network(body, policy, context->local);
    set_hostname(body, policy);
    if (context->network)
        join_network(body, context->network);
    return body;
}

void spec_hash(char hash[SPEC_HASH_SIZE], struct json_object *body)
{
    const char *text = json_object_to_json_string_ext(body, JSON_C_TO_STRING_PLAIN);

    snprintf(hash, SPEC_HASH_SIZE, "%016" PRIx64, text_hash(text ? text : "") + MESSAGE_VERSION);
}
