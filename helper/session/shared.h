/* Scopes connection and user: several sessions in one container. Who is in it
 * holds a shared lock on its lock file (lease.h), who makes or ends it an
 * exclusive one; what joining needs stands in that file (record.h), so that by
 * the direct channel the engine isn't asked. */
#ifndef BERTH_SESSION_SHARED_H
#define BERTH_SESSION_SHARED_H

#include "session/creation.h"
#include "session/record.h"
#include "session/session.h"

enum shared_join {
    SHARED_FAILED = -1,
    SHARED_RUNS,  /* the session was started */
    SHARED_AGAIN, /* it may work now: look again */
    SHARED_DEAD,  /* nothing can be started in this container */
};

/* How a channel does it. */
struct shared_way {
    /* Creates and starts the container, whose lock is held alone. */
    int (*make)(void *data, struct json_object *body, struct record *made, struct error **err);
    /* Starts the session in the container that is there. An error is set for
     * SHARED_FAILED alone. */
    enum shared_join (*join)(void *data, const struct record *record, struct error **err);
    void *data;
};

/* Whether its guest sees to how long it may stay unused. It knows of sessions alone, and a
 * connection that forwards uses its container, too: then the lock tells, as by attach. */
bool shared_guest_lingers(const struct session *s);

/* For how many seconds its container is to wait, once somebody has stopped it, to be started
 * again by the next login; -1: as long as its user's policy or its connection lasts; 0: it is
 * made again. */
long long shared_stopped_waits(const struct session *s);

/* How its container is to be watched. */
struct watcher_task shared_watch(const struct session *s);

/* Joins the session's container, made where it isn't there or where it is dead,
 * and starts the session in it. The lock is held until lease_close. */
int shared_start(struct session *s, const struct shared_way *way, struct error **err);

#endif
