/* The lock by which a session is known to live: a file in the user's runtime
 * directory under flock, held by the helper and by its watcher. Never a pid:
 * hidepid=2 hides those, and they are used again. */
#ifndef BERTH_SESSION_LEASE_H
#define BERTH_SESSION_LEASE_H

#include "base/error.h"

#include <stdbool.h>
#include <sys/types.h>

enum { LEASE_SESSION_SIZE = 17 };

struct lease {
    int dir;  /* RUNTIME/UID, 0700, the user's */
    int lock; /* RUNTIME/UID/SESSION.lock, flocked */
    char session[LEASE_SESSION_SIZE];
};

/* Makes RUNTIME/UID where it isn't there, and in it a locked file without a
 * name. Refused: a runtime directory that isn't root's, a user directory that
 * is a link, somebody else's, or open to others. */
int lease_take(struct lease *lease, const char *runtime_dir, uid_t uid, const char *session,
               struct error **err);
/* Gives the file its name. To be called once somebody is there who removes it,
 * whoever is killed. */
int lease_publish(const struct lease *lease, struct error **err);
/* Notes in the file how far the session's container is (one byte; watcher.h). */
void lease_note(const struct lease *lease, char state);
/* What was noted, '\0' for nothing, and how long ago in seconds. */
char lease_noted(const struct lease *lease, long long *age);
/* Removes the file: the session has left nothing behind. */
void lease_end(const struct lease *lease);
/* Closes; the file stays where lease_end wasn't called, for a sweep to find. */
void lease_close(struct lease *lease);

/* Visits each session of this user that nobody holds any more, with its lock
 * taken meanwhile, until `visit` returns false. */
typedef bool lease_stale(void *data, const struct lease *stale);
void lease_each_stale(const struct lease *lease, lease_stale *visit, void *data);

#endif
