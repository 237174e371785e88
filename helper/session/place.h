/* Where a session runs: scope "session" makes a fresh container for it. */
#ifndef BERTH_SESSION_PLACE_H
#define BERTH_SESSION_PLACE_H

#include "base/error.h"
#include "engine/engine.h"
#include "policy/policy.h"
#include "session/watcher.h"

#include <json-c/json_types.h>

/* Creates container `name` from `body`, pulling its image as the policy says,
 * with progress on `progress_fd` (-1: none). The watcher is told what may exist. */
int place_create(struct engine *engine, const struct policy *policy, const char *name,
                 struct json_object *body, struct watcher *watcher, int progress_fd,
                 struct error **err);

/* Says of an engine that isn't reached what to do about it; returns -1. */
int place_unreached(const struct policy *policy, struct error **err);

#endif
