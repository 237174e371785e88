/* The runtime directory: root's, sticky, and in it each user's own. */
#ifndef BERTH_BASE_RUNTIME_H
#define BERTH_BASE_RUNTIME_H

#include "base/error.h"

#include <stdbool.h>
#include <sys/types.h>

/* O_PATH. Refused: one that isn't root's, or that others may write and that isn't
 * sticky. */
int runtime_open(const char *path, struct error **err);

/* RUNTIME/UID; with `make` it is made where it isn't there, and is the caller's (fsuid).
 * Refused: a link, somebody else's, one that is open to others. ERROR_NOT_FOUND: there
 * is none. */
int runtime_open_user(const char *path, uid_t uid, bool make, struct error **err);

/* RUNTIME/NAME, a folder of root's own, with `flags` of open(2); with `make` it is made where
 * it isn't there. Refused: somebody else's, one that others may write. ERROR_NOT_FOUND: there
 * is none. */
struct runtime_folder {
    const char *name;
    mode_t mode;
};
int runtime_open_roots(const char *path, const struct runtime_folder *folder, bool make, int flags,
                       struct error **err);

/* A regular file in it, mode 0600 where it is made; -1 and errno. Root opens what a
 * user put there: nothing that blocks, or that is opened for effect. */
int runtime_open_file(int dir, const char *name, int flags);

/* As runtime_open_file, for who may hold locks of fcntl(2): closing any file lets go those
 * that the process has on it, so that nothing is opened which is a link to another
 * (EPERM). */
int runtime_open_own(int dir, const char *name, int flags);

#endif
