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
/* Asks once whether somebody stopped or killed the owner's container, whose first process was
 * `pid`: 1 it is there still, or was started again by now; 0 its own time was over, or it is
 * gone or being removed; -1 nobody knows, as before the engine itself has noticed. */
int teardown_was_stopped(const struct http_target *target, const struct owner *owner, pid_t pid);
/* After a login that broke off: has the owner's container as it was before, with that first
 * process `pid` or none. False where it isn't the one with this id. */
bool teardown_spare(const struct http_target *target, const struct owner *owner, const char *id,
                    pid_t pid);
/* on_idle = stop, where no guest ends by itself; false when nobody knows. `session` is
 * for the log. */
bool teardown_stop(const struct http_target *target, const char *id, const char *session);
/* Hangs up the session whose leader has that pid in the container: SIGHUP, and SIGKILL
 * after `grace` seconds. */
void teardown_hang_up(const struct http_target *target, const char *container, pid_t leader,
                      long long grace);

#endif
