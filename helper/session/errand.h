/* An errand to the engine, run by a process of its own: libcurl and what it
 * needs (35 libraries, 6 MB) are then gone again when the session begins. */
#ifndef BERTH_SESSION_ERRAND_H
#define BERTH_SESSION_ERRAND_H

#include "base/error.h"
#include "channel/client.h"

#include <stddef.h>

enum { ERRAND_REPLY_MAX = 1024 };

/* Runs in the child; `reply` is zeroed and its own. */
typedef int errand(void *data, void *reply, struct error **err);

/* Forks, runs `run`, and takes its reply (`size` bytes, at most
 * ERRAND_REPLY_MAX) or its error over. The wait watches the client, whose
 * client_watch must have been set: ERROR_ABANDONED then. The child never
 * outlives this call, nor its parent. */
int errand_run(struct client *client, errand *run, void *data, void *reply, size_t size,
               struct error **err);

#endif
