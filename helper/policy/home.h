/* The option `home`: files that stand at the login's home in the container. */
#ifndef BERTH_POLICY_HOME_H
#define BERTH_POLICY_HOME_H

#include "base/error.h"
#include "policy/policy.h"

/* Puts policy->home, where it is set, among the mounts, at the home directory that
 * NSS says the account has; sets home_at, and workdir where nobody did. Refused: a
 * home that %h would not take, "/", and one that another mount stands at. */
int home_apply(struct policy *policy, const struct account *account, struct error **err);

#endif
