/* An account as the administrator's tool sees it: with what NSS says beyond a
 * session's needs. */
#ifndef BERTH_SESSION_PERSON_H
#define BERTH_SESSION_PERSON_H

#include "base/error.h"
#include "base/text.h"
#include "policy/policy.h"

#include <pwd.h>

struct person {
    struct account account; /* its groups are those below */
    struct strings groups;
    char *shell; /* the login shell, never NULL or "" */
};

/* By name. ERROR_NOT_FOUND: there is no such account. */
int person_find(struct person *person, const char *name, struct error **err);
/* By an entry, which is copied. Asks NSS for the groups. */
int person_take(struct person *person, const struct passwd *entry, struct error **err);
void person_free(struct person *person);

#define cleanup_person __attribute__((cleanup(person_free)))

#endif
