/* What a bind mount may show to a container. */
#ifndef BERTH_POLICY_MOUNT_H
#define BERTH_POLICY_MOUNT_H

#include "base/error.h"

#include <stdbool.h>
#include <sys/types.h>

/* Checks a bind mount's source on this machine: every directory on the way is
 * root's and only root may write it, and no part is a symbolic link. So no login
 * can swap what another one's container, or its own, gets to see. The last part
 * may be anybody's: its owner can't put something else in its place. 0, or -1
 * with an error that names the part at fault. */
int mount_source_check(const char *path, struct error **err);

/* The same, as root; a last part that isn't there is made, a directory of `uid` and
 * `gid` with mode 0700. */
int mount_source_make(const char *path, uid_t uid, gid_t gid, bool *made, struct error **err);

/* Whether what is mounted at `target` covers `path`: it is there, or above it, however
 * many slashes either is written with. */
bool mount_covers(const char *target, const char *path);

#endif
