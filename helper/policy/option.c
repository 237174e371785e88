#include "config.h"

#include "policy/option.h"

#include "base/file.h"
#include "base/text.h"
#include "policy/create.h"
#include "policy/entry.h"
#include "policy/limit.h"
#include "policy/sftp.h"
#include "policy/value.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#ifndef BERTH_RUNTIMEDIR
#define BERTH_RUNTIMEDIR "/run/berth"
#endif

/* Larger than any create body, small enough to be read at each login. */
#define CREATE_MOST (1024 * 1024)

static void *field(const struct option *option, struct policy *policy)
{
    return (char *)policy + option->offset;
}

static int string_replace(char **slot, const char *value, struct error **err)
{
    char *copy = strdup(value);

    if (!copy)
        return error_set(err, ENOMEM, "cannot keep it");
    free(*slot);
    *slot = copy;
    return 0;
}

static int set_string(const struct option *option, struct policy *policy, const char *value,
                      struct error **err)
{
    if (option->check && option->check(value, err) < 0)
        return -1;
    return string_replace(field(option, policy), value, err);
}

static int set_bool(const struct option *option, struct policy *policy, const char *value,
                    struct error **err)
{
    return value_bool(value, field(option, policy), err);
}

static int set_pull(const struct option *option, struct policy *policy, const char *value,
                    struct error **err)
{
    return value_pull(value, field(option, policy), err);
}

static int set_channel(const struct option *option, struct policy *policy, const char *value,
                       struct error **err)
{
    return value_channel(value, field(option, policy), err);
}

static int set_scope(const struct option *option, struct policy *policy, const char *value,
                     struct error **err)
{
    return value_scope(value, field(option, policy), err);
}

static int set_on_idle(const struct option *option, struct policy *policy, const char *value,
                       struct error **err)
{
    return value_on_idle(value, field(option, policy), err);
}

static int set_replace(const struct option *option, struct policy *policy, const char *value,
                       struct error **err)
{
    return value_replace(value, field(option, policy), err);
}

static int set_forwarding(const struct option *option, struct policy *policy, const char *value,
                          struct error **err)
{
    return value_forwarding(value, field(option, policy), err);
}

static int set_linger(const struct option *option, struct policy *policy, const char *value,
                      struct error **err)
{
    return value_linger(value, field(option, policy), err);
}

static int set_duration(const struct option *option, struct policy *policy, const char *value,
                        struct error **err)
{
    return value_duration(value, field(option, policy), err);
}

static int set_standby(const struct option *option, struct policy *policy, const char *value,
                       struct error **err)
{
    return value_standby(value, field(option, policy), err);
}

static int set_audit_format(const struct option *option, struct policy *policy, const char *value,
                            struct error **err)
{
    return value_audit_format(value, field(option, policy), err);
}

static int set_count(const struct option *option, struct policy *policy, const char *value,
                     struct error **err)
{
    return limit_count(value, field(option, policy), err);
}

static int set_time(const struct option *option, struct policy *policy, const char *value,
                    struct error **err)
{
    return limit_time(value, field(option, policy), err);
}

static int set_rate(const struct option *option, struct policy *policy, const char *value,
                    struct error **err)
{
    return limit_rate(value, field(option, policy), err);
}

/* Read by the merge alone. */
static int set_inherit(const struct option *option, struct policy *policy, const char *value,
                       struct error **err)
{
    bool ignored;

    (void)option;
    (void)policy;
    return value_bool(value, &ignored, err);
}

static int set_memory(const struct option *option, struct policy *policy, const char *value,
                      struct error **err)
{
    return value_memory(value, field(option, policy), err);
}

static int set_memory_swap(const struct option *option, struct policy *policy, const char *value,
                           struct error **err)
{
    return value_memory_swap(value, field(option, policy), err);
}

static int set_cpus(const struct option *option, struct policy *policy, const char *value,
                    struct error **err)
{
    return value_cpus(value, field(option, policy), err);
}

static int set_pids(const struct option *option, struct policy *policy, const char *value,
                    struct error **err)
{
    return value_pids(value, field(option, policy), err);
}

static int set_shell(const struct option *option, struct policy *policy, const char *value,
                     struct error **err)
{
    char **slot = field(option, policy);

    if (strcmp(value, "auto") == 0) {
        free_string(slot);
        return 0;
    }
    if (value_path(value, err) < 0) {
        error_clear(err);
        return error_set(err, 0, "must be \"auto\" or an absolute path");
    }
    return string_replace(slot, value, err);
}

static int set_sftp(const struct option *option, struct policy *policy, const char *value,
                    struct error **err)
{
    char *path;

    if (sftp_source(value, field(option, policy), &path, err) < 0)
        return -1;
    free(policy->sftp_path);
    policy->sftp_path = path;
    return 0;
}

static int set_sftp_audit(const struct option *option, struct policy *policy, const char *value,
                          struct error **err)
{
    return sftp_audit(value, field(option, policy), err);
}

static int set_umask(const struct option *option, struct policy *policy, const char *value,
                     struct error **err)
{
    return sftp_umask(value, field(option, policy), err);
}

static int set_endpoint(const struct option *option, struct policy *policy, const char *value,
                        struct error **err)
{
    struct engine_config *engine = field(option, policy);
    char *socket, *host;

    if (entry_endpoint(value, &socket, &host, err) < 0)
        return -1;
    free(engine->socket);
    free(engine->host);
    engine->socket = socket;
    engine->host = host;
    return string_replace(&engine->endpoint, value, err);
}

/* `value` is the file's path by now. */
static int set_create(const struct option *option, struct policy *policy, const char *value,
                      struct error **err)
{
    char **slot = field(option, policy);
    size_t len;

    cleanup_string char *text = file_read_trusted(value, TRUST_PUBLIC, CREATE_MOST, &len, err);
    if (!text)
        return -1;
    if (create_check(text, len, err) < 0)
        return error_wrap(err, "%s", value);
    free(*slot);
    *slot = text;
    text = NULL;
    return 0;
}

/* The part that says what an entry is for: a later one of the same takes its
 * place. */
static size_t key_length(const char *s, char separator)
{
    const char *end = separator ? strchr(s, separator) : NULL;

    return end ? (size_t)(end - s) : strlen(s);
}

static int list_put(struct strings *list, const char *value, char separator, struct error **err)
{
    size_t key = key_length(value, separator);

    for (size_t i = 0; i < list->count; i++) {
        char *item = list->items[i];
        if (key_length(item, separator) == key && memcmp(item, value, key) == 0)
            return string_replace(&list->items[i], value, err);
    }
    if (strings_add(list, value) < 0)
        return error_set(err, ENOMEM, "cannot keep it");
    return 0;
}

static int add_string(const struct option *option, struct policy *policy, const char *value,
                      struct error **err)
{
    if (option->check(value, err) < 0)
        return -1;
    return list_put(field(option, policy), value, '\0', err);
}

static int add_pair(const struct option *option, struct policy *policy, const char *value,
                    struct error **err)
{
    if (option->check(value, err) < 0)
        return -1;
    return list_put(field(option, policy), value, '=', err);
}

static int add_capability(const struct option *option, struct policy *policy, const char *value,
                          struct error **err)
{
    cleanup_string char *name = NULL;

    if (entry_capability(value, &name, err) < 0)
        return -1;
    return list_put(field(option, policy), name, '\0', err);
}

/* Appends to one of the arrays, or replaces the entry with the same key. */
#define DEFINE_ADD(type, array, counter, key)                                                      \
    static int add_##type(const struct option *option, struct policy *policy, const char *value,   \
                          struct error **err)                                                      \
    {                                                                                              \
        struct type entry;                                                                         \
                                                                                                   \
        (void)option;                                                                              \
        if (entry_##type(value, &entry, err) < 0)                                                  \
            return -1;                                                                             \
        for (size_t i = 0; i < policy->counter; i++) {                                             \
            if (strcmp(policy->array[i].key, entry.key) == 0) {                                    \
                type##_clear(&policy->array[i]);                                                   \
                policy->array[i] = entry;                                                          \
                return 0;                                                                          \
            }                                                                                      \
        }                                                                                          \
        void *bigger = reallocarray(policy->array, policy->counter + 1, sizeof entry);             \
        if (!bigger) {                                                                             \
            type##_clear(&entry);                                                                  \
            return error_set(err, ENOMEM, "cannot keep it");                                       \
        }                                                                                          \
        policy->array = bigger;                                                                    \
        policy->array[policy->counter++] = entry;                                                  \
        return 0;                                                                                  \
    }

DEFINE_ADD(mount, mounts, mount_count, target)
DEFINE_ADD(tmpfs, tmpfs, tmpfs_count, target)
DEFINE_ADD(device, devices, device_count, container)
DEFINE_ADD(ulimit, ulimits, ulimit_count, name)

#define AT(member) .offset = offsetof(struct policy, member)

const struct option options_top[] = {
    {"runtime_dir", set_string, value_path, AT(runtime_dir), .builtin = BERTH_RUNTIMEDIR},
    {"host_max_sessions", set_count, AT(host_max_sessions), .builtin = "unlimited", .plain = true},
    {"audit_format", set_audit_format, AT(audit_format), .builtin = "text", .plain = true},
    {0},
};

const struct option options_engine[] = {
    {"endpoint", set_endpoint, AT(engine), .builtin = "unix:///run/docker.sock"},
    {"tls_ca", set_string, value_path, AT(engine.tls_ca)},
    {"tls_cert", set_string, value_path, AT(engine.tls_cert)},
    {"tls_key", set_string, value_path, AT(engine.tls_key)},
    {"registry_config", set_string, value_path, AT(engine.registry_config)},
    {0},
};

const struct option options_session[] = {
    {OPTION_INHERIT, set_inherit, .plain = true},
    {"image", set_string, value_image, AT(image)},
    {"pull", set_pull, AT(pull), .builtin = "missing", .plain = true},
    {"channel", set_channel, AT(channel), .builtin = "auto", .plain = true},
    {"scope", set_scope, AT(scope), .builtin = "session", .plain = true},
    {"linger", set_linger, AT(linger), .builtin = "0", .plain = true},
    {"on_idle", set_on_idle, AT(on_idle), .builtin = "remove", .plain = true},
    {"replace", set_replace, AT(replace), .builtin = "auto", .plain = true},
    {"standby", set_standby, AT(standby), .builtin = "0", .plain = true},
    {"standby_time", set_duration, AT(standby_time), .builtin = "1h", .plain = true},
    {"hangup_grace", set_duration, AT(hangup_grace), .builtin = "5s", .plain = true},
    {"audit_bytes", set_bool, AT(audit_bytes), .builtin = "no", .plain = true},
    {"max_sessions", set_count, AT(max_sessions), .builtin = "unlimited", .plain = true},
    {"max_time", set_time, AT(max_time), .builtin = "unlimited", .plain = true},
    {"idle_timeout", set_time, AT(idle_timeout), .builtin = "unlimited", .plain = true},
    {"login_rate", set_rate, AT(login_rate), .builtin = "unlimited", .plain = true},
    {"shell", set_shell, AT(shell), .builtin = "auto"},
    {"workdir", set_string, value_path, AT(workdir), .optional = true},
    {"user", set_string, value_user, AT(user), .builtin = "%U:%G", .place = EXPAND_USER},
    {"names", set_bool, AT(names), .builtin = "yes", .plain = true},
    {"groups", add_string, value_groups, AT(groups), .list = true, .plain = true},
    {"hostname", set_string, value_hostname, AT(hostname), .optional = true},
    {"network", set_string, value_network, AT(network), .builtin = "none"},
    {"dns", add_string, value_address, AT(dns), .list = true},
    {"home", set_string, entry_home, AT(home), .optional = true},
    {"mounts", add_mount, .list = true},
    {"tmpfs", add_tmpfs, .list = true},
    {"memory", set_memory, AT(memory), .builtin = "unlimited", .plain = true},
    {"memory_swap", set_memory_swap, AT(memory_swap), .plain = true},
    {"cpus", set_cpus, AT(nano_cpus), .builtin = "unlimited", .plain = true},
    {"pids", set_pids, AT(pids), .builtin = "256", .plain = true},
    {"cgroup_parent", set_string, limit_cgroup, AT(cgroup_parent), .optional = true},
    {"ulimits", add_ulimit, .list = true, .plain = true},
    {"cap_add", add_capability, AT(cap_add), .list = true, .plain = true},
    {"cap_drop", add_capability, AT(cap_drop), .builtin = "ALL", .list = true, .plain = true},
    {"no_new_privileges", set_bool, AT(no_new_privileges), .builtin = "yes", .plain = true},
    {"security_opt", add_string, value_security_opt, AT(security_opt), .list = true},
    {"read_only", set_bool, AT(read_only), .builtin = "no", .plain = true},
    {"runtime", set_string, value_name, AT(runtime), .optional = true},
    {"init", set_bool, AT(init), .builtin = "yes", .plain = true},
    {"devices", add_device, .list = true},
    {"labels", add_pair, value_label, AT(labels), .list = true},
    {"env", add_pair, value_env, AT(env), .list = true},
    {"accept_env", add_string, value_env_pattern, AT(accept_env),
     .builtin = "LANG LC_* COLORTERM TZ", .list = true, .plain = true},
    {"tty", set_bool, AT(tty), .builtin = "yes", .plain = true},
    {"agent_forwarding", set_bool, AT(agent_forwarding), .builtin = "no", .plain = true},
    {"x11_forwarding", set_bool, AT(x11_forwarding), .builtin = "no", .plain = true},
    {"forwarding", set_forwarding, AT(forwarding), .builtin = "off", .plain = true},
    {"commands", add_string, value_filled, AT(commands), .place = EXPAND_SHELL, .list = true},
    {"force_command", set_string, NULL, AT(force_command), .place = EXPAND_SHELL, .lines = true,
     .optional = true},
    {"banner", set_string, NULL, AT(banner), .lines = true, .optional = true},
    {"motd", set_string, value_path, AT(motd), .optional = true, .file = true},
    {"deny", set_string, NULL, AT(deny), .lines = true, .optional = true},
    {"create", set_create, AT(create), .optional = true, .file = true},
    {"umask", set_umask, AT(umask), .builtin = "022", .plain = true},
    {"sftp", set_sftp, AT(sftp), .builtin = "bundled"},
    {"sftp_root", set_string, value_path, AT(sftp_root), .optional = true},
    {"sftp_read_only", set_bool, AT(sftp_read_only), .builtin = "no", .plain = true},
    {"sftp_audit", set_sftp_audit, AT(sftp_audit), .builtin = "auto", .plain = true},
    {0},
};

static char *path_beside(const char *config, const char *name)
{
    const char *slash = strrchr(config, '/');

    if (name[0] == '/' || !slash)
        return strdup(name);
    return text_format("%.*s/%s", (int)(slash - config), config, name);
}

static int expanded_apply(const struct option *option, const char *value, const char *config,
                          struct policy *policy, struct error **err)
{
    if (value_text(value, option->lines, err) < 0)
        return -1;
    if (option->optional && value[0] == '\0') {
        free_string(field(option, policy));
        return 0;
    }
    if (!option->file)
        return option->apply(option, policy, value, err);
    cleanup_string char *path = path_beside(config, value);
    if (!path)
        return error_set(err, ENOMEM, "cannot keep it");
    return option->apply(option, policy, path, err);
}

int option_apply(const struct option *option, const char *value, const struct account *account,
                 const char *config, struct policy *policy, struct error **err)
{
    if (option->plain)
        return expanded_apply(option, value, config, policy, err);
    char *expanded = expand(value, account, option->place, err);
    int result = expanded ? expanded_apply(option, expanded, config, policy, err) : -1;
    free(expanded);
    return result;
}

int option_check(const struct option *option, const char *value, const char *config,
                 struct error **err)
{
    static const struct account somebody = {
        .name = (char *)"user", .home = (char *)"/home/user", .uid = 1000, .gid = 1000};
    struct policy scratch = {0};

    if (option->file && strchr(value, '%')) {
        cleanup_string char *expanded = expand(value, &somebody, option->place, err);
        return expanded ? value_text(expanded, option->lines, err) : -1;
    }
    int result = option_apply(option, value, &somebody, config, &scratch, err);
    policy_clear(&scratch);
    return result;
}

#define CLEAR_EACH(type, array, counter)                                                           \
    do {                                                                                           \
        for (size_t i = 0; i < policy->counter; i++)                                               \
            type##_clear(&policy->array[i]);                                                       \
        free(policy->array);                                                                       \
    } while (0)

void policy_clear(struct policy *policy)
{
    char *const owned[] = {
        policy->runtime_dir,    policy->engine.endpoint,
        policy->engine.socket,  policy->engine.host,
        policy->engine.tls_ca,  policy->engine.tls_cert,
        policy->engine.tls_key, policy->engine.registry_config,
        policy->image,          policy->shell,
        policy->workdir,        policy->user,
        policy->hostname,       policy->network,
        policy->runtime,        policy->force_command,
        policy->banner,         policy->deny,
        policy->create,         policy->sftp_path,
        policy->home,           policy->home_at,
        policy->cgroup_parent,  policy->sftp_root,
        policy->motd,
    };
    struct strings *const lists[] = {
        &policy->dns,    &policy->cap_add,   &policy->cap_drop,   &policy->security_opt,
        &policy->labels, &policy->env,       &policy->accept_env, &policy->commands,
        &policy->groups, &policy->group_ids,
    };

    for (size_t i = 0; i < sizeof owned / sizeof owned[0]; i++)
        free(owned[i]);
    for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++)
        strings_free(lists[i]);
    CLEAR_EACH(mount, mounts, mount_count);
    CLEAR_EACH(tmpfs, tmpfs, tmpfs_count);
    CLEAR_EACH(device, devices, device_count);
    CLEAR_EACH(ulimit, ulimits, ulimit_count);
    *policy = (struct policy){0};
}
