#include "config.h"

#include "policy/policy.h"

#include "policy/configuration.h"
#include "policy/option.h"

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
};

static int value_apply(const struct merge *merge, const struct option *option,
                       const struct config_value *value, struct policy *policy, struct error **err)
{
    cleanup_text struct text shown = {0};

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
        if (option_apply(option, value, merge->account, config, policy, err) < 0)
            return error_wrap(err, "%s: the built-in %s \"%s\"", config, option->name, value);
        s += n + (s[n] == ' ');
    }
    return 0;
}

/* The value that holds for a scalar: the last one said. */
static const struct config_value *scalar_value(const struct merge *merge,
                                               const struct option *option)
{
    for (size_t i = merge->count; i-- > 0;)
        if (config_said(merge->sections[i], option))
            return config_value(merge->sections[i], option, 0);
    return NULL;
}

static int scalar_apply(const struct merge *merge, const struct option *option,
                        struct policy *policy, struct error **err)
{
    const struct config_value *value = scalar_value(merge, option);

    if (value)
        return value_apply(merge, option, value, policy, err);
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
            if (value_apply(merge, option, value, policy, err) < 0)
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

static int engine_apply(const struct config *config, const struct account *account,
                        struct policy *policy, struct error **err)
{
    const struct config_section *top = config_top(config), *engine = config_engine(config);
    struct merge merge = {.config = config, .account = account, .sections = &top, .count = 1};

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
                         "%s: no image for \"%s\": set image in defaults or in a user "
                         "section that matches",
                         path, login);
    if (merge->account->uid == 0 && !scalar_value(merge, session_option("user")))
        return error_set(err, 0,
                         "%s: \"%s\" is uid 0 and would be root in its container: set user "
                         "in a user section that matches, where that is meant",
                         path, login);
    if (limits_check(merge, policy, err) < 0)
        return -1;
    return targets_check(merge, policy, err);
}

/* Fills `sections`, which has room for all of them. */
static size_t sections_match(const struct config *config, const char *name,
                             const struct config_section **sections)
{
    const struct config_section *user;
    size_t count = 0;

    sections[count++] = config_defaults(config);
    for (size_t i = 0; (user = config_user(config, i)); i++)
        if (fnmatch(config_title(user), name, 0) == 0)
            sections[count++] = user;
    return count;
}

static int session_apply(const struct config *config, const struct account *account,
                         struct policy *policy, struct error **err)
{
    struct merge merge = {.config = config, .account = account};
    cleanup_text struct text login = {0};
    size_t users = 0;
    int result = -1;

    text_escape(&login, account->name, 64);
    merge.login = text_str(&login);
    while (config_user(config, users))
        users++;
    merge.sections = calloc(users + 1, sizeof(void *));
    if (!merge.sections)
        return error_set(err, ENOMEM, "%s", config_path(config));
    merge.count = sections_match(config, account->name, merge.sections);
    if (merge.count == 1) {
        error_set(err, 0, "no user section of %s matches \"%s\"; ask the administrator for one",
                  config_path(config), merge.login);
    } else if (table_apply(&merge, options_session, policy, err) == 0) {
        result = session_check(&merge, policy, err);
    }
    free(merge.sections);
    return result;
}

static struct policy *policy_make(const struct config *config, const struct account *account,
                                  struct error **err)
{
    struct policy *policy = calloc(1, sizeof *policy);

    if (!policy)
        error_set(err, ENOMEM, "%s", config_path(config));
    else if (engine_apply(config, account, policy, err) == 0 &&
             session_apply(config, account, policy, err) == 0)
        return policy;
    policy_free(policy);
    return NULL;
}

struct policy *policy_load(const char *path, const struct account *account, struct error **err)
{
    cleanup_config struct config *config = config_load(path, err);

    return config ? policy_make(config, account, err) : NULL;
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

struct policy *policy_load_engine(const char *path, const struct account *account, bool *each,
                                  struct error **err)
{
    cleanup_config struct config *config = config_load(path, err);
    cleanup_policy struct policy *policy = config ? calloc(1, sizeof *policy) : NULL;

    if (config && !policy)
        error_set(err, ENOMEM, "%s", path);
    if (!policy || engine_apply(config, account, policy, err) < 0)
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

    return config ? policy_make(config, account, err) : NULL;
}

void policy_free(struct policy *policy)
{
    if (!policy)
        return;
    policy_clear(policy);
    free(policy);
}
