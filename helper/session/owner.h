/* Whose a container is. Its labels alone prove nothing (`docker commit` copies
 * them onto images, and so onto other people's), nor does its name: both must
 * agree. */
#ifndef BERTH_SESSION_OWNER_H
#define BERTH_SESSION_OWNER_H

#include "engine/container.h"
#include "session/identity.h"
#include "session/lease.h"

#include <stdbool.h>
#include <sys/types.h>

struct owner {
    const char *machine;
    uid_t uid;
    const char *key; /* lease.h */
};

struct owned {
    bool ours; /* the owner's; else somebody gave it this name */
    struct container_state state;
    bool keep;       /* with on_idle = stop, and it can run again: its files are a person's */
    char policy[17]; /* spec_hash() of what it was made by, "" unknown */
    char user[257];  /* the login's name, "" unknown */
};

/* Whether it stands there ended, can be started again, and ended by no time (guest/guest.h) or
 * failure of its own: somebody stopped or killed it. */
bool owner_was_stopped(const struct owned *owned);

/* Asks the engine about the container that has the owner's name. ERROR_NOT_FOUND:
 * there is none. */
int owner_ask(struct engine *engine, const struct owner *owner, struct owned *owned,
              struct error **err);
/* The same, of one that may just have ended: an engine for which it runs still, though its
 * first process is gone, is given the time to notice. `local`: that process is seen from here. */
int owner_ask_noticed(struct engine *engine, const struct owner *owner, bool local,
                      struct owned *owned, struct error **err);
/* Whose a container of `machine` is, by its labels and its name (NULL: it has no
 * such label): into owner->uid and owner->key, which borrows `session`. False where
 * they don't agree, or no berth wrote them. */
bool owner_read(struct owner *owner, const char *machine, const char *name, const char *uid,
                const char *session);

/* Removes what was found to be the owner's; one that is kept is stopped, and stays.
 * *found says whether it was there. */
int owner_end(struct engine *engine, const struct owned *owned, bool *found, struct error **err);
/* Asks, and does that; none is success. */
int owner_delete(struct engine *engine, const struct owner *owner, bool *found, struct error **err);

#endif
