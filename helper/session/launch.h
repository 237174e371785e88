/* What the guest is told to start (protocol/start.h). */
#ifndef BERTH_SESSION_LAUNCH_H
#define BERTH_SESSION_LAUNCH_H

#include "base/error.h"
#include "base/text.h"
#include "channel/client.h"
#include "policy/policy.h"
#include "session/request.h"

/* Writes START's payload: what command_make and environment_make say for an
 * image of which nothing is known, the guest does better and for any bytes. */
int launch_make(struct text *payload, const struct policy *policy, const struct request *request,
                const struct client *client, struct error **err);

/* The same for a run of the policy's shell that does nothing. */
int launch_warm_up(struct text *payload, const struct policy *policy, struct error **err);

#endif
