/* What the engine is asked when a session or a container is over, again and again where
 * it is away. */
#ifndef BERTH_SESSION_TEARDOWN_H
#define BERTH_SESSION_TEARDOWN_H

#include "engine/container.h"
#include "session/owner.h"

#include <stdbool.h>
#include <sys/types.h>

/* Removes the owner's container; true when it is sure that there is none. `may_come`: a
 * create was given up, and it can come into being after a DELETE that found nothing. */
bool teardown_remove(const struct http_target *target, const struct owner *owner, bool may_come);
/* on_idle = stop, where no guest ends by itself; false when nobody knows. `session` is
 * for the log. */
bool teardown_stop(const struct http_target *target, const char *id, const char *session);
/* Hangs up the session whose leader has that pid in the container: SIGHUP, and SIGKILL
 * after `grace` seconds. */
void teardown_hang_up(const struct http_target *target, const char *container, pid_t leader,
                      long long grace);

#endif
