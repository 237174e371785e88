/* The lock by which a session is known to live: a file in the user's runtime
 * directory under flock, held by the helper and by its watcher. Never a pid:
 * hidepid=2 hides those, and they are used again. */
#ifndef BERTH_SESSION_LEASE_H
#define BERTH_SESSION_LEASE_H

#include "base/error.h"

#include <stdbool.h>
#include <sys/types.h>

/* 16 hex digits for a session's own, "user" for the user's shared container, "u" and 15
 * hex digits for that of one of several names of a uid, "n" and 15 hex digits for a
 * connection's. */
enum { LEASE_SESSION_SIZE = 17 };

struct lease {
    int dir;  /* RUNTIME/UID, 0700, the user's */
    int lock; /* RUNTIME/UID/SESSION.lock, flocked */
    char session[LEASE_SESSION_SIZE];
    bool make; /* lease_try makes a file that isn't there */
};

/* Makes RUNTIME/UID where it isn't there, and in it a locked file without a
 * name. Refused: a runtime directory that isn't root's, a user directory that
 * is a link, somebody else's, or open to others. */
int lease_take(struct lease *lease, const char *runtime_dir, uid_t uid, const char *session,
               struct error **err);
/* Gives the file its name. To be called once somebody is there who removes it,
 * whoever is killed. */
int lease_publish(const struct lease *lease, struct error **err);
bool lease_is_shared(const char *key);
bool lease_is_connections(const char *key);
/* Whether it is one of the kinds above. */
bool lease_is_key(const char *key);

/* For a shared container, whose lock file has a name from the start: opens the
 * user's directory, and no lock yet. */
int lease_open(struct lease *lease, const char *runtime_dir, uid_t uid, const char *key,
               struct error **err);
/* The same for who only looks: the user's directory is not made. ERROR_NOT_FOUND:
 * there is none. */
int lease_find(struct lease *lease, const char *runtime_dir, uid_t uid, const char *key,
               struct error **err);
/* Takes the file's lock, made where it isn't there by who has opened the lease to
 * make something: exclusive to make the container or end it, else to use it. 1, or 0 where somebody
 * holds it otherwise: nothing waits. One that is held is converted. */
int lease_try(struct lease *lease, bool exclusive, struct error **err);
void lease_unlock(struct lease *lease);
/* The file for a look without a lock; -1 where there is none. */
int lease_peek(const struct lease *lease);
/* Opens it, and is its keeper until lease_unlock, which is no lock in the sense of
 * the others. False where it has one, or there is no file. */
bool lease_keep(struct lease *lease);
/* Whether a file that is open here, and wasn't opened by it, has a keeper. */
bool lease_is_kept(const struct lease *lease);
/* Whether anything has the file's name. */
bool lease_is_there(const struct lease *lease);

/* Makes the session's folder for its container (RUNTIME/UID/SESSION, 0755),
 * where it isn't there, and opens it; -1 on failure. */
int lease_make_folder(const struct lease *lease, struct error **err);
/* Opens it; -1 where there is none. */
int lease_open_folder(const struct lease *lease);
/* Notes in the file how far the session's container is (one byte; watcher.h). */
void lease_note(const struct lease *lease, char state);
/* What was noted, '\0' for nothing, and how long ago in seconds. */
char lease_noted(const struct lease *lease, long long *age);
/* Removes the folder and the file: the session has left nothing behind. */
void lease_end(const struct lease *lease);
/* Closes; the file stays where lease_end wasn't called, for a sweep to find. */
void lease_close(struct lease *lease);

/* Visits each session of this user that nobody holds any more, with its lock
 * taken meanwhile, until `visit` returns false. */
typedef bool lease_stale(void *data, const struct lease *stale);
void lease_each_stale(const struct lease *lease, lease_stale *visit, void *data);

/* Visits each user who has a directory in RUNTIME, as its name says: lease_find
 * tells whether it is his. */
typedef void lease_user(void *data, uid_t uid);
int lease_each_user(const char *runtime_dir, lease_user *visit, void *data, struct error **err);

#endif
