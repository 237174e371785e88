/* %u, %U, %G, %h and %% in berth.conf's strings. */
#ifndef BERTH_POLICY_EXPAND_H
#define BERTH_POLICY_EXPAND_H

#include "base/error.h"
#include "policy/policy.h"

enum expand_place {
    EXPAND_PLAIN,
    EXPAND_SHELL, /* a shell reads it, or it is a pattern of what one may read */
    EXPAND_USER,  /* a container's user: a name must not pass for a number */
};

/* Returns `s` expanded for `account`, for the caller to free. NULL where a "%" is
 * followed by something else, and where the account's name or home holds what
 * would change the meaning of the value around it. */
char *expand(const char *s, const struct account *account, enum expand_place place,
             struct error **err);

#endif
