/* The groups that NSS says an account is in. */
#ifndef BERTH_POLICY_GROUPS_H
#define BERTH_POLICY_GROUPS_H

#include "base/error.h"
#include "base/text.h"
#include "policy/policy.h"

/* Their names, the primary one's too (getgrouplist(3)); a gid without a name is left
 * out. Fails where NSS fails to name one: a group that isn't known to be his could be
 * one that takes rights away. What a directory that is down would have told beside
 * them nobody can miss: getgrouplist(3) doesn't say. */
int groups_of(const struct account *account, struct strings *groups, struct error **err);

#endif
