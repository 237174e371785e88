/* The argv that runs a request in a container, where nothing of ours is but
 * what the image has: a shell. */
#ifndef BERTH_SESSION_COMMAND_H
#define BERTH_SESSION_COMMAND_H

#include "base/error.h"
#include "base/text.h"
#include "policy/policy.h"
#include "session/request.h"

/* One argument or one NAME=value: Linux's MAX_ARG_STRLEN less the NUL. */
enum { ARGUMENT_MAX = 131071 };

/* "SHELL -c COMMAND", exactly as sshd would; a login shell for a shell request;
 * the image's sftp-server for sftp. `size`, where not NULL, is set on the
 * terminal first. Fails where an argument would be longer than the kernel
 * takes. */
int command_make(struct strings *argv, const struct policy *policy, const struct request *request,
                 const struct winsize *size, struct error **err);

/* For sftp: the image's programs that may be it, in the order of trying; the
 * arguments from the Subsystem line; what to tell the user where none is there
 * (the caller frees it, NULL when memory ran out). */
int command_sftp_programs(struct strings *programs, const struct policy *policy);
int command_sftp_arguments(struct strings *argv, const struct request *request);
char *command_sftp_missing(const struct policy *policy);

#endif
