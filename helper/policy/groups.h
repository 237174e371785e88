/* The groups that NSS says an account is in. */
#ifndef BERTH_POLICY_GROUPS_H
#define BERTH_POLICY_GROUPS_H

#include "base/error.h"
#include "base/text.h"
#include "policy/policy.h"

#include <sys/types.h>

/* Their names, the primary one's too (getgrouplist(3)); a gid without a name is left
 * out. Fails where NSS fails to name one: a group that isn't known to be his could be
 * one that takes rights away. What a directory that is down would have told beside
 * them nobody can miss: getgrouplist(3) doesn't say. */
int groups_of(const struct account *account, struct strings *groups, struct error **err);

/* Of `patterns`, each a number or a pattern of names (fnmatch(3)): the numbers as they are,
 * and those of the account's groups that match, never gid 0, as "GID:NAME". Fails as
 * groups_of does. */
int groups_pick(const struct account *account, const struct strings *patterns,
                struct strings *picked, struct error **err);

/* Their numbers, the caller's to free; how many, or -1. */
int groups_ids(const struct account *account, gid_t **gids, struct error **err);

#endif
