/* What the policy itself mounts where berth would mount something. */
#ifndef BERTH_SESSION_OCCUPIED_H
#define BERTH_SESSION_OCCUPIED_H

#include "policy/policy.h"

#include <stdbool.h>

/* Whether a mount, tmpfs or volume of the policy's is at `path`, `create` included; or one
 * that can't be written is at its parent `above`, where the engine then can't make `path`. */
bool occupied(const struct policy *policy, const char *path, const char *above);

#endif
