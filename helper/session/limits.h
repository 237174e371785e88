/* How many may be in: asked before anything is made for a session. */
#ifndef BERTH_SESSION_LIMITS_H
#define BERTH_SESSION_LIMITS_H

#include "base/error.h"
#include "policy/policy.h"
#include "session/register.h"

/* What a session holds while it lives. */
struct limits {
    struct registration place;
    int host; /* its slot of host_max_sessions, or -1 */
};

/* Takes the session's place in `dir`, the user's runtime directory. On failure *cause
 * is why, in a word for the log; the error's text is for the user. */
int limits_admit(struct limits *limits, const struct policy *policy, const char *user, int dir,
                 const char **cause, struct error **err);
void limits_leave(struct limits *limits);

/* As root: makes what host_max_sessions needs, where it isn't there. */
int limits_prepare(const char *runtime_dir, struct error **err);

#endif
