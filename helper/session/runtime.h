/* The runtime directory: root's, sticky, and in it a directory of each user's. */
#ifndef BERTH_SESSION_RUNTIME_H
#define BERTH_SESSION_RUNTIME_H

#include "base/error.h"

#include <stdbool.h>
#include <sys/types.h>

/* RUNTIME itself (O_PATH). Refused: one that isn't root's, or that others may write
 * and isn't sticky. */
int runtime_open(const char *path, struct error **err);

/* RUNTIME/UID, with `make` made where it isn't there; else ERROR_NOT_FOUND then.
 * Refused: a link, somebody else's, or one that is open to others. */
int runtime_open_user(const char *runtime_dir, uid_t uid, bool make, struct error **err);

/* A regular file in it, mode 0600 where it is made; -1 and errno. Root opens what a
 * user put there: nothing that blocks, or that is opened for effect. */
int runtime_open_file(int dir, const char *name, int flags);

#endif
