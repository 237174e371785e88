/* The argv that runs a request in a container, where nothing of ours is but
 * what the image has: a shell. */
#ifndef BERTH_SESSION_COMMAND_H
#define BERTH_SESSION_COMMAND_H

#include "base/error.h"
#include "base/text.h"
#include "policy/policy.h"
#include "session/request.h"

#include <stdbool.h>

/* One argument or one NAME=value: Linux's MAX_ARG_STRLEN less the NUL. */
enum { ARGUMENT_MAX = 131071 };

/* "SHELL -c COMMAND", exactly as sshd would; a login shell for a shell request;
 * sftp-server for sftp (sftp.h; `bundle` where the container has the guest's folder).
 * `size`, where not NULL, is set on the terminal first. Fails where an argument would be
 * longer than the kernel takes. */
struct command_context {
    const struct winsize *size;
    bool bundle;
    bool sure; /* and is sure to have it: no shell is needed for sftp */
};
int command_make(struct strings *argv, const struct policy *policy, const struct request *request,
                 const struct command_context *context, struct error **err);

#endif
