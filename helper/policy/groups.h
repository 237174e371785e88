/* The groups that NSS says an account is in. */
#ifndef BERTH_POLICY_GROUPS_H
#define BERTH_POLICY_GROUPS_H

#include "base/error.h"
#include "base/text.h"
#include "policy/policy.h"

/* Their names, the primary one's too (getgrouplist(3)); a gid without a name is left
 * out. Fails where NSS does: a group that isn't known to be his could be one that
 * takes rights away. */
int groups_of(const struct account *account, struct strings *groups, struct error **err);

#endif
