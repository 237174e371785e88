/* The create body: what the policy and the request say, as the engine's JSON. */
#ifndef BERTH_SESSION_SPEC_H
#define BERTH_SESSION_SPEC_H

#include "base/error.h"
#include "policy/policy.h"
#include "session/request.h"

#include <json-c/json_types.h>
#include <stdbool.h>
#include <sys/ioctl.h>

struct spec_context {
    const char *machine;
    bool local;        /* the engine reads this machine's files */
    bool console_size; /* it takes a TTY's first size (API 1.42) */
    bool has_window;
    struct winsize window;
};

/* POST /containers/create's body. The order of what wins: berth's labels and
 * what the channel needs, then the policy's `create` fields, then the rest. The
 * caller puts it. NULL on failure: a command that can't be carried. */
struct json_object *spec_make(const struct policy *policy, const struct request *request,
                              const struct spec_context *context, struct error **err);

#endif
