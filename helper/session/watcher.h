/* The process that outlives the helper for a moment: it holds none of the
 * session's descriptors, sees the helper end (however), and then removes the
 * container. So the client has its exit status before the engine's teardown,
 * and a helper killed -9 leaves nothing behind. */
#ifndef BERTH_SESSION_WATCHER_H
#define BERTH_SESSION_WATCHER_H

#include "base/error.h"
#include "engine/http.h"
#include "session/lease.h"

#include <sys/types.h>

/* What the helper tells its watcher, one byte each. */
enum watcher_state {
    WATCHER_IDLE = 'i',     /* there is no container, and no create on its way */
    WATCHER_CREATING = 'c', /* one may exist, or come to exist later */
    WATCHER_CREATED = 'C',  /* the engine has answered: what is not there never will be */
    WATCHER_RUNNING = 'r',  /* the session runs: time to sweep */
};

struct watcher {
    int pipe;                  /* write end; its closing is the helper's end */
    const struct lease *lease; /* where the state is noted too, should both be killed */
};

struct watcher_task {
    const struct http_target *target;
    const struct lease *lease;
    const char *machine;
    uid_t uid;
};

/* Forks. To be called before libcurl is set up, and with no more memory touched
 * than need be: what the two share costs nothing. */
int watcher_start(struct watcher *watcher, const struct watcher_task *task, struct error **err);
void watcher_tell(struct watcher *watcher, enum watcher_state state);

#endif
