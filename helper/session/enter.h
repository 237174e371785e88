/* An administrator in a user's running container, by the engine's exec: none of the
 * user's sessions, and nothing that keeps the container. */
#ifndef BERTH_SESSION_ENTER_H
#define BERTH_SESSION_ENTER_H

#include "base/error.h"
#include "base/text.h"
#include "session/person.h"

#include <stdbool.h>

struct enter {
    const char *config;
    const struct account *account; /* with its groups: NSS isn't asked from here on */
    const char *by;                /* the login name of who does it; NULL: unknown */
    long long by_uid;              /* -1: unknown */
    const char *container;         /* its name; NULL: the only one */
    const struct strings *command; /* argv; none: a login shell */
    const char *term;              /* TERM, or NULL */
    bool root;                     /* as uid 0 of the container */
};

/* Runs it with this process's stdin, stdout and stderr, as root; *status is the
 * command's exit status, 128+n where a signal ended it. On failure `several` names the
 * containers among which one is to be chosen, where that is why. */
int enter_run(const struct enter *enter, struct strings *several, int *status, struct error **err);

#endif
