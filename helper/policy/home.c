#include "config.h"

#include "policy/home.h"

#include "policy/entry.h"
#include "policy/expand.h"
#include "policy/mount.h"
#include "policy/passwd.h"
#include "policy/value.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static int taken(const char *by, const char *at, struct error **err)
{
    return error_set(err, 0, "%s has something else at \"%s\", the login's home", by, at);
}

/* The engine would say no more than "Duplicate mount point". */
static int check(const struct policy *policy, const char *at, struct error **err)
{
    if (value_text(at, false, err) < 0)
        return error_wrap(err, "the login's home in the system's user database");
    if (!value_is_path(at, strlen(at)) || strspn(at, "/") == strlen(at))
        return error_set(err, 0,
                         "the login's home in the system's user database is \"%s\": must be an "
                         "absolute path other than \"/\" without \".\" and \"..\" in it",
                         at);
    for (size_t i = 0; i < policy->mount_count; i++)
        if (strcmp(policy->mounts[i].target, at) == 0)
            return taken("mounts", at, err);
    for (size_t i = 0; i < policy->tmpfs_count; i++)
        if (strcmp(policy->tmpfs[i].target, at) == 0)
            return taken("tmpfs", at, err);
    return 0;
}

static int add_mount(struct policy *policy, struct error **err)
{
    struct mount m = {.source = strdup(policy->home),
                      .target = strdup(policy->home_at),
                      .volume = policy->home[0] != '/'};
    void *bigger = reallocarray(policy->mounts, policy->mount_count + 1, sizeof m);

    if (bigger)
        policy->mounts = bigger;
    if (!bigger || !m.source || !m.target) {
        mount_clear(&m);
        return error_set(err, ENOMEM, "cannot keep it");
    }
    policy->mounts[policy->mount_count++] = m;
    return 0;
}

bool home_is(const struct policy *policy, const struct mount *mount)
{
    return policy->home && strcmp(mount->target, policy->home_at) == 0;
}

/* What the engine, or we, have there: it refuses what is mounted within, or that would take
 * the place of what a session is run by. */
static bool is_taken(const char *at)
{
    static const char *const taken[] = {"/.berth", "/dev", "/proc", "/sys"};

    for (size_t i = 0; i < sizeof taken / sizeof *taken; i++)
        if (mount_covers(taken[i], at))
            return true;
    return false;
}

static bool is_free(const struct policy *policy, const char *at)
{
    if (is_taken(at))
        return false;
    for (size_t i = 0; i < policy->mount_count; i++)
        if (mount_covers(policy->mounts[i].target, at))
            return false;
    for (size_t i = 0; i < policy->tmpfs_count; i++)
        if (mount_covers(policy->tmpfs[i].target, at))
            return false;
    return true;
}

/* A home that no path can be is none: the login has its name all the same. */
static int apply_names(struct policy *policy, const struct account *account, struct error **err)
{
    cleanup_error struct error *unfit = NULL;
    struct passwd_ids ids;

    if (!passwd_ids(&ids, policy->user) || ids.uid == 0 || !passwd_takes(account->name))
        policy->names = false;
    if (!policy->names || policy->home_at)
        return 0;
    cleanup_string char *at = expand("%h", account, EXPAND_PLAIN, &unfit);
    if (!at || value_text(at, false, &unfit) < 0 || !value_is_path(at, strlen(at)) ||
        strspn(at, "/") == strlen(at))
        return 0;
    policy->home_free = is_free(policy, at);
    policy->home_at = strdup(at);
    return policy->home_at ? 0 : error_set(err, ENOMEM, "cannot keep it");
}

int home_apply(struct policy *policy, const struct account *account, struct error **err)
{
    if (!policy->home)
        return apply_names(policy, account, err);
    policy->home_at = expand("%h", account, EXPAND_PLAIN, err);
    if (!policy->home_at || check(policy, policy->home_at, err) < 0 || add_mount(policy, err) < 0)
        return -1;
    if (!policy->workdir && !(policy->workdir = strdup(policy->home_at)))
        return error_set(err, ENOMEM, "cannot keep it");
    return apply_names(policy, account, err);
}
