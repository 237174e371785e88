/* The variables that a session has in its container. */
#ifndef BERTH_SESSION_ENVIRONMENT_H
#define BERTH_SESSION_ENVIRONMENT_H

#include "base/error.h"
#include "policy/policy.h"
#include "session/request.h"

/* USER, LOGNAME, HOME where berth.conf has one, SHELL where it is known,
 * SSH_CONNECTION, SSH_CLIENT, SSH_AUTH_SOCK with an agent, DISPLAY
 * and XAUTHORITY with a display, TERM with a terminal, what
 * accept_env lets through of the client's, berth.conf's env (which wins),
 * SSH_ORIGINAL_COMMAND beside a force_command. Without `any_bytes` a client's variable
 * that isn't UTF-8 can't be carried: it is left out, with a log line. */
int environment_make(struct strings *env, const struct policy *policy,
                     const struct request *request, bool any_bytes, struct error **err);

#endif
