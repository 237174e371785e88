#include "config.h"

#include "session/person.h"

#include "policy/groups.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int person_take(struct person *person, const struct passwd *entry, struct error **err)
{
    struct account *account = &person->account;
    /* passwd(5): none means /bin/sh. */
    const char *shell = entry->pw_shell && entry->pw_shell[0] ? entry->pw_shell : "/bin/sh";

    *person = (struct person){.account = {.uid = entry->pw_uid, .gid = entry->pw_gid}};
    account->name = strdup(entry->pw_name);
    account->home = strdup(entry->pw_dir ? entry->pw_dir : "");
    person->shell = strdup(shell);
    if (!account->name || !account->home || !person->shell)
        return error_set(err, ENOMEM, "account");
    if (groups_of(account, &person->groups, err) < 0)
        return error_wrap(err, "groups of %s", account->name);
    account->groups = &person->groups;
    return 0;
}

int person_find(struct person *person, const char *name, struct error **err)
{
    cleanup_text struct text shown = {0};

    *person = (struct person){0};
    errno = 0;
    const struct passwd *entry = getpwnam(name);
    int errnum = errno;
    if (entry)
        return person_take(person, entry, err);
    text_escape(&shown, name, 64);
    /* getpwnam(3) says "there is none" in several ways. */
    if (errnum == 0 || errnum == ENOENT || errnum == ESRCH || errnum == EBADF || errnum == EPERM)
        return error_set_kind(err, ERROR_NOT_FOUND, "there is no account \"%s\": getent passwd",
                              text_str(&shown));
    return error_set(err, errnum, "cannot look up account \"%s\"", text_str(&shown));
}

void person_free(struct person *person)
{
    free(person->account.name);
    free(person->account.home);
    free(person->shell);
    strings_free(&person->groups);
    *person = (struct person){0};
}
