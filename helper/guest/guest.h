/* The guest: the container's first process, which runs its sessions. */
#ifndef BERTH_GUEST_GUEST_H
#define BERTH_GUEST_GUEST_H

#include "base/error.h"
#include "guest/creator.h"
#include "guest/session.h"

enum {
    GUEST_SESSIONS_MAX = 4096,
    GUEST_ACCEPT_MAX = 64,      /* connections in a row, before the others' turn */
    GUEST_ACCEPT_AGAIN_MS = 50, /* after running out of descriptors */
    GUEST_REAP_MAX = 1024,      /* processes in a row */
    GUEST_FIRST_MS = 10000,     /* for the first session, where linger is less */
    GUEST_LAST_LOOKS = 128,     /* for connections, before it ends: a whole backlog and more */
    GUEST_TOLD_MS = 200,        /* for helpers to pass on that it is told to end */
};

/* What the container's exit status is then: of one whose own time was over it is 0. Whoever
 * finds it ended can tell by that whether somebody stopped it (session/teardown.h). */
enum { GUEST_STOPPED = 128 + 15 };

/* Serves until its time is over: 0, GUEST_STOPPED where it was told to end before, or -1.
 * SIGCHLD, SIGTERM and SIGINT are blocked by the caller. Takes the listener. */
int guest_serve(const struct creator *creator, const struct session_setting *setting,
                struct error **err);

#endif
