#include "config.h"

#include "session/person.h"

#include "policy/groups.h"

#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int take_entry(struct person *person, const struct passwd *entry, struct error **err)
{
    struct account *account = &person->account;
    /* passwd(5): none means /bin/sh. */
    const char *shell = entry->pw_shell && entry->pw_shell[0] ? entry->pw_shell : "/bin/sh";

    account->uid = entry->pw_uid;
    account->gid = entry->pw_gid;
    account->name = strdup(entry->pw_name);
    account->home = strdup(entry->pw_dir ? entry->pw_dir : "");
    person->shell = strdup(shell);
    if (!account->name || !account->home || !person->shell)
        return error_set(err, ENOMEM, "account");
    return 0;
}

static int no_entry(int errnum, const char *who, struct error **err)
{
    /* getpwnam(3) says "there is none" in several ways. */
    if (errnum == 0 || errnum == ENOENT || errnum == ESRCH || errnum == EBADF || errnum == EPERM)
        return error_set_kind(err, ERROR_NOT_FOUND, "there is no account %s: getent passwd", who);
    return error_set(err, errnum, "cannot look up account %s", who);
}

int person_by_name(struct person *person, const char *name, struct error **err)
{
    cleanup_text struct text who = {0};

    *person = (struct person){0};
    errno = 0;
    const struct passwd *entry = getpwnam(name);
    int errnum = errno;
    if (entry)
        return take_entry(person, entry, err);
    text_puts(&who, "\"");
    text_escape(&who, name, 64);
    text_puts(&who, "\"");
    return no_entry(errnum, text_str(&who), err);
}

int person_by_uid(struct person *person, uid_t uid, struct error **err)
{
    char who[32];

    *person = (struct person){0};
    errno = 0;
    const struct passwd *entry = getpwuid(uid);
    int errnum = errno;
    if (entry)
        return take_entry(person, entry, err);
    snprintf(who, sizeof who, "of uid %u", (unsigned)uid);
    return no_entry(errnum, who, err);
}

int person_add_groups(struct person *person, struct error **err)
{
    if (groups_of(&person->account, &person->groups, err) < 0)
        return error_wrap(err, "groups of %s", person->account.name);
    person->account.groups = &person->groups;
    return 0;
}

int person_find(struct person *person, const char *name, struct error **err)
{
    return person_by_name(person, name, err) < 0 ? -1 : person_add_groups(person, err);
}

void person_free(struct person *person)
{
    free(person->account.name);
    free(person->account.home);
    free(person->shell);
    strings_free(&person->groups);
    *person = (struct person){0};
}
