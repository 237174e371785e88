/* The option `home`: files that stand at the login's home in the container. */
#ifndef BERTH_POLICY_HOME_H
#define BERTH_POLICY_HOME_H

#include "base/error.h"
#include "policy/policy.h"

/* Puts policy->home, where it is set, among the mounts, at the home directory that
 * NSS says the account has; sets home_at, and workdir where nobody did. Refused: a
 * home that %h would not take, "/", and one that another mount stands at. */
/* With `names` and no `home`, home_at is that directory too, where it can be one, and
 * home_free says whether anything else stands there. A container's user who is root, or
 * whom the image names, has his names from the image: names becomes false. */
int home_apply(struct policy *policy, const struct account *account, struct error **err);

/* Whether that one of the policy's mounts is what `home` says, not one that `mounts` has
 * at the same place. */
bool home_is(const struct policy *policy, const struct mount *mount);

#endif
