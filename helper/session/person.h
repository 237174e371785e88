/* An account as the administrator's tool sees it: with what NSS says beyond a
 * session's needs. */
#ifndef BERTH_SESSION_PERSON_H
#define BERTH_SESSION_PERSON_H

#include "base/error.h"
#include "base/text.h"
#include "policy/policy.h"

#include <sys/types.h>

struct person {
    struct account account; /* its groups are those below, where they were asked for */
    struct strings groups;
    char *shell; /* the login shell, never NULL or "" */
};

/* Without groups. ERROR_NOT_FOUND: there is no such account. */
int person_by_name(struct person *person, const char *name, struct error **err);
int person_by_uid(struct person *person, uid_t uid, struct error **err);
int person_add_groups(struct person *person, struct error **err);
/* By name, with groups. */
int person_find(struct person *person, const char *name, struct error **err);
void person_free(struct person *person);

#define cleanup_person __attribute__((cleanup(person_free)))

#endif
