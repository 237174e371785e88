/* Removes what is left of a user's sessions whose helper and watcher were both
 * killed: what no flock holds, and nothing entitles to live. */
#ifndef BERTH_SESSION_SWEEP_H
#define BERTH_SESSION_SWEEP_H

#include "base/error.h"
#include "engine/engine.h"
#include "session/lease.h"
#include "session/owner.h"
#include "session/record.h"

#include <stdbool.h>
#include <sys/types.h>

struct sweep {
    const struct http_target *target;
    const char *machine;
    uid_t uid;
    struct engine *engine; /* made when there is something to ask; the caller frees it */
    bool look;             /* only tells: nothing is removed */
    /* Asked after each; false ends the sweep. NULL: all of them. */
    bool (*go_on)(void *data);
    /* Told of each container that was removed, or, with the reason, was not. Or
     * NULL. */
    void (*tell)(void *data, const struct owner *owner, const struct error *err);
    void *data;
};

/* Sweeps the user's directory that `lease` has open, but for the lease's own
 * session. One try each: there is always a next sweep. One that the engine
 * refuses to remove doesn't keep the others; an engine that is away does. */
void sweep_run(struct sweep *sweep, const struct lease *lease);

/* Who joins a container doesn't ask whether its image's name stands for another
 * image by now; a sweep does, once a minute at most, and notes it (record.h). */
bool sweep_is_due(const struct record *record);
/* Does it for the lease's own container, which may be in use. */
void sweep_image(struct sweep *sweep, struct lease *lease);

#endif
