#include "config.h"

#include "main/roster.h"

#include "base/file.h"
#include "base/text.h"
#include "main/command.h"
#include "policy/policy.h"
#include "policy/value.h"

#include <pwd.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

char *roster_runtime_dir(const char *command, const char *config)
{
    static char name[] = "root", home[] = "/root";
    const struct account root = {.name = name, .home = home};
    cleanup_error struct error *err = NULL;
    bool each;
    cleanup_policy struct policy *policy = policy_load_engine(config, &root, &each, &err);

    if (!policy) {
        command_say(command, error_text(err));
        return NULL;
    }
    char *dir = policy->runtime_dir;
    policy->runtime_dir = NULL;
    return dir;
}

struct loading {
    struct roster *roster;
    const struct roster_query *query;
};

static void on_failed(void *data, const char *what)
{
    const struct loading *loading = data;

    loading->roster->failed = true;
    command_say(loading->query->command, what);
}

/* The name in the register is the user's word: it counts where NSS says that this uid
 * has it, which matters where a uid has several. */
static char *name_of(const struct registered *registered)
{
    const struct passwd *pw = registered->known && registered->entry.user[0]
                                  ? getpwnam(registered->entry.user)
                                  : NULL;

    if (!pw || pw->pw_uid != registered->uid)
        pw = getpwuid(registered->uid);
    return pw ? strdup(pw->pw_name) : text_format("uid %u", (unsigned)registered->uid);
}

static bool is_number(const char *s)
{
    return s[0] != '\0' && s[strspn(s, "0123456789")] == '\0';
}

static bool is_asked_for(const struct roster_query *query, const struct registered *registered,
                         const char *user)
{
    if (query->session &&
        (!registered->known || strcmp(query->session, registered->entry.session) != 0))
        return false;
    return !query->user || is_number(query->user) || strcmp(query->user, user) == 0;
}

/* Its pidfd, -1 where it isn't to be had, and *gone where it has just ended. */
static int open_helper(const struct loading *loading, const struct registered *registered,
                       const char *user, bool *gone)
{
    cleanup_error struct error *err = NULL;
    int helper = register_open_helper(registered, &err);

    *gone = helper < 0 && error_kind(err) == ERROR_NOT_FOUND;
    if (helper < 0 && !*gone) {
        error_wrap(&err, "a session of %s", user);
        on_failed((void *)loading, error_text(err));
    }
    return helper;
}

static void on_session(void *data, const struct registered *registered)
{
    const struct loading *loading = data;
    struct roster *roster = loading->roster;
    cleanup_string char *user = name_of(registered);
    struct present present = {.uid = registered->uid,
                              .pid = registered->pid,
                              .known = registered->known,
                              .entry = registered->entry,
                              .helper = -1};
    bool gone = false;

    if (user && !is_asked_for(loading->query, registered, user))
        return;
    if (user && loading->query->helpers)
        present.helper = open_helper(loading, registered, user, &gone);
    if (loading->query->helpers && present.helper < 0)
        return;
    struct present *items = realloc(roster->items, (roster->count + 1) * sizeof *items);
    if (!user || !items) {
        close_fd(&present.helper);
        roster->items = items ? items : roster->items;
        on_failed(data, "out of memory");
        return;
    }
    present.user = user;
    user = NULL;
    roster->items = items;
    items[roster->count++] = present;
}

static int by_age(const void *one, const void *other)
{
    const struct present *a = one, *b = other;

    if (a->known != b->known)
        return a->known ? -1 : 1;
    return a->entry.since < b->entry.since ? -1 : a->entry.since > b->entry.since;
}

/* An account's uid, or one without an account. */
static int find_user(const char *user, uid_t *uid)
{
    const struct passwd *pw = is_number(user) ? NULL : getpwnam(user);
    long long number;

    if (pw)
        *uid = pw->pw_uid;
    else if (value_decimal(user, strlen(user), UINT32_MAX - 1, &number))
        *uid = (uid_t)number;
    else
        return -1;
    return 0;
}

int roster_load(struct roster *roster, const struct roster_query *query)
{
    struct loading loading = {roster, query};
    const struct register_reader reader = {on_session, on_failed, &loading};
    cleanup_error struct error *err = NULL;
    uid_t uid;
    int rc = 0;

    *roster = (struct roster){0};
    if (query->user && find_user(query->user, &uid) < 0)
        rc = error_set(&err, 0, "there is no account %s", query->user);
    else if (query->user)
        register_read(query->runtime_dir, uid, &reader);
    else
        rc = register_read_all(query->runtime_dir, &reader, &err);
    if (rc < 0)
        command_say(query->command, error_text(err));
    if (roster->count > 0)
        qsort(roster->items, roster->count, sizeof *roster->items, by_age);
    return rc;
}

void roster_free(struct roster *roster)
{
    for (size_t i = 0; i < roster->count; i++) {
        free(roster->items[i].user);
        close_fd(&roster->items[i].helper);
    }
    free(roster->items);
    *roster = (struct roster){0};
}
