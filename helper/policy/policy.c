#include "config.h"

#include "policy/policy.h"

#include "policy/configuration.h"
#include "policy/groups.h"
#include "policy/home.h"
#include "policy/option.h"
#include "policy/value.h"

#include <errno.h>
#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>

struct merge {
    const struct config *config;
    const struct account *account;
    const char *login;                      /* its name, escaped for messages */
    const struct config_section **sections; /* those that apply, in order */
    size_t count;
    policy_trace *trace; /* or NULL */
    void *data;
};

static void tell(const struct merge *merge, const struct option *option, const char *value,
                 const struct config_section *section, unsigned line)
{
    const char *name = config_name(section);
    const struct policy_origin origin = {
        .option = option->name,
        .value = value,
        .list = option->list,
        .section = section == config_top(merge->config) ? "" : name,
        .title = config_title(section),
        .line = line,
    };

    if (merge->trace)
        merge->trace(merge->data, &origin);
}

static int value_apply(const struct merge *merge, const struct option *option,
                       const struct config_section *section, const struct config_value *value,
                       struct policy *policy, struct error **err)
{
    cleanup_text struct text shown = {0};

    tell(merge, option, value->text, section, value->line);
    if (option_apply(option, value->text, merge->account, config_path(merge->config), policy,
                     err) == 0)
        return 0;
    text_escape(&shown, value->text, 64);
    return error_wrap(err, "%s:%u: %s \"%s\"", config_path(merge->config), value->line,
                      option->name, text_str(&shown));
}

static int builtin_apply(const struct merge *merge, const struct option *option,
                         struct policy *policy, struct error **err)
{
    const char *config = config_path(merge->config), *s = option->builtin;

    while (*s) {
        size_t n = option->list ? strcspn(s, " ") : strlen(s);
        cleanup_string char *value = strndup(s, n);
        if (!value)
            return error_set(err, ENOMEM, "%s", option->name);
        tell(merge, option, value, merge->sections[0], 0);
        if (option_apply(option, value, merge->account, config, policy, err) < 0)
            return error_wrap(err, "%s: the built-in %s \"%s\"", config, option->name, value);
        s += n + (s[n] == ' ');
    }
    return 0;
}

/* The section whose value holds for a scalar: the last one that says it. */
static const struct config_section *scalar_section(const struct merge *merge,
                                                   const struct option *option)
{
    for (size_t i = merge->count; i-- > 0;)
        if (config_said(merge->sections[i], option))
            return merge->sections[i];
    return NULL;
}

static const struct config_value *scalar_value(const struct merge *merge,
                                               const struct option *option)
{
    const struct config_section *section = scalar_section(merge, option);

    return section ? config_value(section, option, 0) : NULL;
}

static int scalar_apply(const struct merge *merge, const struct option *option,
                        struct policy *policy, struct error **err)
{
    const struct config_section *section = scalar_section(merge, option);
    const struct config_value *value = section ? config_value(section, option, 0) : NULL;

    if (value)
        return value_apply(merge, option, section, value, policy, err);
    return option->builtin ? builtin_apply(merge, option, policy, err) : 0;
}

static int list_apply(const struct merge *merge, const struct option *option, struct policy *policy,
                      struct error **err)
{
    bool said = false;

    for (size_t i = 0; i < merge->count; i++) {
        const struct config_value *value;
        said = said || config_said(merge->sections[i], option);
        for (size_t j = 0; (value = config_value(merge->sections[i], option, j)); j++)
            if (value_apply(merge, option, merge->sections[i], value, policy, err) < 0)
                return -1;
    }
    return !said && option->builtin ? builtin_apply(merge, option, policy, err) : 0;
}

static int table_apply(const struct merge *merge, const struct option *table, struct policy *policy,
                       struct error **err)
{
    for (const struct option *option = table; option->name; option++) {
        int (*apply)(const struct merge *, const struct option *, struct policy *,
                     struct error **) = option->list ? list_apply : scalar_apply;
        if (apply(merge, option, policy, err) < 0)
            return -1;
    }
    return 0;
}

static const struct option *session_option(const char *name)
{
    const struct option *option = options_session;

    while (option->name && strcmp(option->name, name) != 0)
        option++;
    return option;
}

static unsigned session_line(const struct merge *merge, const char *name)
{
    const struct config_value *value = scalar_value(merge, session_option(name));

    return value ? value->line : 0;
}

static int engine_check(const char *path, const struct engine_config *engine, struct error **err)
{
    if (engine->host && !(engine->tls_ca && engine->tls_cert && engine->tls_key))
        return error_set(err, 0,
                         "%s: engine: endpoint \"%s\" needs tls_ca, tls_cert and tls_key, "
                         "all three: plain TCP is root for everyone who reaches the port",
                         path, engine->endpoint);
    if (engine->socket && (engine->tls_ca || engine->tls_cert || engine->tls_key))
        return error_set(err, 0,
                         "%s: engine: tls_ca, tls_cert and tls_key are for a tcp:// "
                         "endpoint, not for \"%s\"",
                         path, engine->endpoint);
    return 0;
}

/* Who is merged for, and who wants to know; the sections are for each step to say. */
static int engine_apply(const struct merge *whole, struct policy *policy, struct error **err)
{
    const struct config *config = whole->config;
    const struct config_section *top = config_top(config), *engine = config_engine(config);
    struct merge merge = *whole;

    merge.sections = &top;
    merge.count = 1;
    if (table_apply(&merge, options_top, policy, err) < 0)
        return -1;
    merge.sections = &engine;
    if (table_apply(&merge, options_engine, policy, err) < 0)
        return -1;
    return engine_check(config_path(config), &policy->engine, err);
}

static int limits_check(const struct merge *merge, const struct policy *policy, struct error **err)
{
    if (policy->memory_swap == 0 || policy->memory_swap == -1)
        return 0;
    if (policy->memory == 0 || policy->memory_swap < policy->memory)
        return error_set(err, 0,
                         "%s:%u: memory_swap counts memory and swap together: it needs a "
                         "memory that is not larger",
                         config_path(merge->config), session_line(merge, "memory_swap"));
    return 0;
}

/* The engine would say no more than "Duplicate mount point". */
static int targets_check(const struct merge *merge, const struct policy *policy, struct error **err)
{
    for (size_t i = 0; i < policy->tmpfs_count; i++)
        for (size_t j = 0; j < policy->mount_count; j++)
            if (strcmp(policy->tmpfs[i].target, policy->mounts[j].target) == 0)
                return error_set(err, 0, "%s: both mounts and tmpfs have \"%s\" for \"%s\"",
                                 config_path(merge->config), policy->tmpfs[i].target, merge->login);
    return 0;
}

static bool engine_varies(const struct config *config)
{
    const struct config_section *engine = config_engine(config);
    const struct merge merge = {.config = config, .sections = &engine, .count = 1};

    for (const struct option *option = options_engine; option->name; option++) {
        const struct config_value *value = scalar_value(&merge, option);
        if (value && strchr(value->text, '%'))
            return true;
    }
    return false;
}

/* Where sshd can't follow, or would find a network that isn't the container's alone. */
static const char *forwarding_hindrance(const struct merge *merge, const struct policy *p)
{
    if (!p->engine.socket)
        return "an engine on another machine, which has its containers' networks";
    if (engine_varies(merge->config))
        return "an engine of the user's own: root goes by no word of it";
    if (p->runtime && !policy_passes_sockets(p->runtime))
        return "a runtime that has a network of its own in the container";
    if (strcmp(p->network, "host") == 0)
        return "network = host, which is this machine's own";
    if (p->standby > 0)
        return "standby, whose containers have each a network of their own";
    return NULL;
}

static int forwarding_check(const struct merge *merge, const struct policy *policy,
                            struct error **err)
{
    const char *hindrance = policy->forwarding ? forwarding_hindrance(merge, policy) : NULL;

    if (!hindrance)
        return 0;
    return error_set(err, 0, "%s:%u: forwarding = container can't be had for \"%s\" with %s",
                     config_path(merge->config), session_line(merge, "forwarding"), merge->login,
                     hindrance);
}

static int home_put(const struct merge *merge, struct policy *policy, struct error **err)
{
    if (home_apply(policy, merge->account, err) == 0)
        return 0;
    return error_wrap(err, "%s:%u: home", config_path(merge->config), session_line(merge, "home"));
}

/* What no option can tell by itself. */
static int session_check(const struct merge *merge, struct policy *policy, struct error **err)
{
    const char *path = config_path(merge->config), *login = merge->login;

    /* Whoever is refused anyway gets the administrator's words, not ours. */
    if (policy->deny) {
        if (!policy->image && !(policy->image = strdup("")))
            return error_set(err, ENOMEM, "%s", path);
        return 0;
    }
    if (!policy->image)
        return error_set(err, 0,
                         "%s: no image for \"%s\": set image in defaults or in a group or "
                         "user section that matches",
                         path, login);
    if (merge->account->uid == 0 && !scalar_value(merge, session_option("user")))
        return error_set(err, 0,
                         "%s: \"%s\" is uid 0 and would be root in its container: set user "
                         "in a user section that matches, where that is meant",
                         path, login);
    if (limits_check(merge, policy, err) < 0 || targets_check(merge, policy, err) < 0 ||
        forwarding_check(merge, policy, err) < 0)
        return -1;
    if (policy->groups.count > 0 &&
        groups_pick(merge->account, &policy->groups, &policy->group_ids, err) < 0)
        return error_wrap(err, "%s: groups", path);
    return home_put(merge, policy, err);
}

static bool any_matches(const char *pattern, const struct strings *names)
{
    for (size_t i = 0; i < names->count; i++)
        if (fnmatch(pattern, names->items[i], 0) == 0)
            return true;
    return false;
}

/* Puts those of a kind that match one of `names` into `merge->sections`. */
static void sections_match(struct merge *merge, enum config_kind kind, const struct strings *names)
{
    const struct config_section *section;

    for (size_t i = 0; (section = config_titled(merge->config, kind, i)); i++)
        if (any_matches(config_title(section), names))
            merge->sections[merge->count++] = section;
}

/* NSS is asked where there is a group section alone: it costs, and may fail. */
static int groups_match(struct merge *merge, struct error **err)
{
    cleanup_strings struct strings asked = {0};
    const struct strings *groups = merge->account->groups;

    if (!config_titled(merge->config, CONFIG_GROUP, 0))
        return 0;
    if (!groups && groups_of(merge->account, &asked, err) < 0)
        return -1;
    sections_match(merge, CONFIG_GROUP, groups ? groups : &asked);
    return 0;
}

static size_t sections_count(const struct config *config, enum config_kind kind)
{
    size_t count = 0;

    while (config_titled(config, kind, count))
        count++;
    return count;
}

/* Allocates and fills `merge->sections`: defaults first, for the caller to free. */
static int sections_find(struct merge *merge, struct error **err)
{
    const struct config *config = merge->config;
    char *name[] = {merge->account->name, NULL};
    const struct strings names = {.items = name, .count = 1};

    merge->sections = calloc(1 + sections_count(config, CONFIG_GROUP) +
                                 sections_count(config, CONFIG_USER),
                             sizeof(void *));
    if (!merge->sections)
        return error_set(err, ENOMEM, "%s", config_path(config));
    merge->sections[0] = config_defaults(config);
    merge->count = 1;
    if (groups_match(merge, err) < 0)
        return -1;
    sections_match(merge, CONFIG_USER, &names);
    return 0;
}

/* inherit = no: what stands before the last section that says so doesn't count. */
static size_t sections_first(const struct merge *merge)
{
    const struct option *inherit = session_option(OPTION_INHERIT);
    struct error *ignored = NULL;

    for (size_t i = merge->count; i-- > 1;) {
        bool yes = true;
        if (config_said(merge->sections[i], inherit))
            (void)value_bool(config_value(merge->sections[i], inherit, 0)->text, &yes, &ignored);
        if (!yes)
            return i;
    }
    return 0;
}

static void sections_cut(struct merge *merge)
{
    size_t first = sections_first(merge);

    merge->count -= first;
    memmove(merge->sections, merge->sections + first, merge->count * sizeof(void *));
}

static int session_apply(struct merge *merge, struct policy *policy, struct error **err)
{
    if (merge->count == 1)
        return error_set_kind(err, ERROR_REFUSED,
                              "no user or group section of %s matches \"%s\"; ask the "
                              "administrator for one",
                              config_path(merge->config), merge->login);
    sections_cut(merge);
    if (table_apply(merge, options_session, policy, err) < 0)
        return -1;
    return session_check(merge, policy, err);
}

static struct policy *policy_make(struct merge *merge, struct error **err)
{
    cleanup_text struct text login = {0};
    cleanup_policy struct policy *policy = calloc(1, sizeof *policy);

    if (!policy)
        error_set(err, ENOMEM, "%s", config_path(merge->config));
    if (!policy || engine_apply(merge, policy, err) < 0)
        return NULL;
    text_escape(&login, merge->account->name, 64);
    merge->login = text_str(&login);
    int rc = sections_find(merge, err);
    if (rc == 0)
        rc = session_apply(merge, policy, err);
    free(merge->sections);
    if (rc < 0)
        return NULL;
    struct policy *made = policy;
    policy = NULL;
    return made;
}

struct policy *policy_load_traced(const char *path, const struct account *account,
                                  policy_trace *trace, void *data, struct error **err)
{
    cleanup_config struct config *config = config_load(path, err);
    struct merge merge = {.config = config, .account = account, .trace = trace, .data = data};

    return config ? policy_make(&merge, err) : NULL;
}

struct policy *policy_load(const char *path, const struct account *account, struct error **err)
{
    return policy_load_traced(path, account, NULL, NULL, err);
}

int policy_maps(const char *path, const struct account *account, struct error **err)
{
    cleanup_config struct config *config = config_load(path, err);
    struct merge merge = {.config = config, .account = account};

    if (!config)
        return -1;
    int rc = sections_find(&merge, err);
    free(merge.sections);
    return rc < 0 ? -1 : merge.count > 1;
}

int policy_sections(const char *path, const struct account *account, policy_section *visit,
                    void *data, struct error **err)
{
    cleanup_config struct config *config = config_load(path, err);
    struct merge merge = {.config = config, .account = account};

    if (!config)
        return -1;
    int rc = sections_find(&merge, err);
    size_t first = rc == 0 ? sections_first(&merge) : 0;
    for (size_t i = 1; rc == 0 && i < merge.count; i++)
        visit(data, config_name(merge.sections[i]), config_title(merge.sections[i]), i >= first);
    free(merge.sections);
    return rc;
}

bool policy_passes_sockets(const char *runtime)
{
    return strcmp(runtime, "runc") == 0 || strcmp(runtime, "crun") == 0 ||
           strcmp(runtime, "io.containerd.runc.v2") == 0;
}

bool policy_keeps(const struct policy *policy)
{
    return policy->on_idle == ON_IDLE_STOP && policy->scope == SCOPE_USER;
}

struct policy *policy_load_engine(const char *path, const struct account *account, bool *each,
                                  struct error **err)
{
    cleanup_config struct config *config = config_load(path, err);
    cleanup_policy struct policy *policy = config ? calloc(1, sizeof *policy) : NULL;

    if (config && !policy)
        error_set(err, ENOMEM, "%s", path);
    const struct merge merge = {.config = config, .account = account};
    if (!policy || engine_apply(&merge, policy, err) < 0)
        return NULL;
    *each = engine_varies(config);
    struct policy *made = policy;
    policy = NULL;
    return made;
}

struct policy *policy_parse(const char *path, char *data, size_t len, const struct account *account,
                            struct error **err)
{
    cleanup_config struct config *config = config_parse(path, data, len, err);
    struct merge merge = {.config = config, .account = account};

    return config ? policy_make(&merge, err) : NULL;
}

void policy_free(struct policy *policy)
{
    if (!policy)
        return;
    policy_clear(policy);
    free(policy);
}
