#include "config.h"

#include "main/roster.h"

#include "base/file.h"
#include "base/text.h"
#include "main/command.h"
#include "policy/policy.h"
#include "policy/value.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

struct policy *roster_policy(const char *command, const char *config)
{
    static char name[] = "root", home[] = "/root";
    const struct account root = {.name = name, .home = home};
    cleanup_error struct error *err = NULL;
    bool each;
    struct policy *policy = policy_load_engine(config, &root, &each, &err);

    if (!policy)
        command_say(command, error_text(err));
    return policy;
}

/* For what is opened beside the pidfds. */
enum { SPARE_FILES = 32 };

struct loading {
    struct roster *roster;
    const struct roster_query *query;
    const char *user; /* whose sessions, as NSS writes the name; NULL: a uid's, or all */
    size_t room;      /* for so many pidfds */
    size_t left;      /* sessions for which there was none */
};

/* As many as the hard limit has: the soft one, 1024 mostly, is for who uses select(2). */
static size_t room_for_helpers(void)
{
    struct rlimit files;

    if (getrlimit(RLIMIT_NOFILE, &files) < 0)
        return 0;
    files.rlim_cur = files.rlim_max;
    (void)setrlimit(RLIMIT_NOFILE, &files);
    if (getrlimit(RLIMIT_NOFILE, &files) < 0 || files.rlim_cur < SPARE_FILES)
        return 0;
    return (size_t)files.rlim_cur - SPARE_FILES;
}

static void on_failed(void *data, const char *what)
{
    const struct loading *loading = data;

    loading->roster->failed = true;
    command_say(loading->query->command, what);
}

static bool ask(const struct loading *loading, const char *name, uid_t uid, struct person *person)
{
    const struct nss_query query = {.name = name, .uid = uid};

    return nss_try(loading->query->nss, &query, person, on_failed, (void *)loading);
}

/* The name in the register is the user's word: it counts where NSS says that this uid
 * has it, which matters where a uid has several. Else it is the uid's first name, and
 * not *sure. */
static char *name_of(const struct loading *loading, const struct registered *registered, bool *sure)
{
    cleanup_person struct person named = {0}, first = {0};
    const char *name = registered->known ? registered->entry.user : "";

    *sure = name[0] && ask(loading, name, 0, &named) && named.account.uid == registered->uid;
    if (*sure)
        return strdup(named.account.name);
    return ask(loading, NULL, registered->uid, &first)
               ? strdup(first.account.name)
               : text_format("uid %u", (unsigned)registered->uid);
}

static bool is_number(const char *s)
{
    return s[0] != '\0' && s[strspn(s, "0123456789")] == '\0';
}

static bool has_name(const struct registered *registered, const char *session)
{
    return registered->known && strcmp(registered->entry.session, session) == 0;
}

static bool is_of_user(const struct loading *loading, const struct registered *registered,
                       const char *user, bool sure)
{
    if (!loading->user || strcmp(loading->user, user) == 0)
        return true;
    if (!sure) {
        cleanup_string char *what = text_format(
            "a session (process %d) doesn't tell which of uid %u's names it is of, and may be "
            "%s's: --user %u is all of them",
            (int)registered->pid, (unsigned)registered->uid, loading->user,
            (unsigned)registered->uid);
        on_failed((void *)loading, what ? what : "out of memory");
    }
    return false;
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
    struct loading *loading = data;
    struct roster *roster = loading->roster;
    bool sure, gone = false;

    if (loading->query->session && !has_name(registered, loading->query->session))
        return;
    cleanup_string char *user = name_of(loading, registered, &sure);
    struct present present = {.uid = registered->uid,
                              .pid = registered->pid,
                              .known = registered->known,
                              .entry = registered->entry,
                              .helper = -1};

    if (user && !is_of_user(loading, registered, user, sure))
        return;
    if (loading->query->helpers && roster->count >= loading->room) {
        loading->left++;
        return;
    }
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

int roster_find_user(struct nss *nss, const char *user, uid_t *uid, struct person *person,
                     struct error **err)
{
    long long number;

    if (value_decimal(user, strlen(user), UINT32_MAX - 1, &number))
        *uid = (uid_t)number;
    else if (is_number(user))
        return error_set(err, 0, "there is no account %s", user);
    else if (nss_ask(nss, &(struct nss_query){.name = user}, person, err) == 0)
        *uid = person->account.uid;
    else if (error_kind(*err) == ERROR_NOT_FOUND) {
        error_clear(err);
        return error_set(err, 0, "there is no account %s", user);
    }
    return *err ? -1 : 0;
}

static void tell_left(const struct loading *loading)
{
    cleanup_string char *what = text_format(
        "%zu sessions are left, for want of files that may be open (ulimit -Hn): run it again",
        loading->left);

    on_failed((void *)loading, what ? what : "out of memory");
}

int roster_load(struct roster *roster, const struct roster_query *query)
{
    struct loading loading = {.roster = roster, .query = query};
    const struct register_reader reader = {on_session, on_failed, &loading};
    cleanup_error struct error *err = NULL;
    cleanup_person struct person person = {0};
    uid_t uid = 0;
    int rc = 0;

    *roster = (struct roster){0};
    if (query->helpers)
        loading.room = room_for_helpers();
    if (query->user && roster_find_user(query->nss, query->user, &uid, &person, &err) < 0)
        rc = -1;
    else if (query->user) {
        loading.user = person.account.name;
        register_read(query->runtime_dir, uid, &reader);
    } else
        rc = register_read_all(query->runtime_dir, &reader, &err);
    if (rc < 0)
        command_say(query->command, error_text(err));
    if (loading.left > 0)
        tell_left(&loading);
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
