/* Files and sockets as another user, for root: what lies where that user may write is
 * reached with no more than his rights. */
#ifndef BERTH_SESSION_GUISE_H
#define BERTH_SESSION_GUISE_H

#include "base/error.h"
#include "policy/policy.h"

#include <sys/types.h>

/* Who it was before. */
struct guise {
    uid_t uid;
    gid_t gid;
    gid_t *groups; /* where they were changed too */
    int group_count;
};

/* setfsuid(2) and setfsgid(2). `before` is set also where this fails. */
int guise_take(struct guise *before, uid_t uid, gid_t gid, struct error **err);
/* The same, with these groups in place of the process's: what a login of his reaches. */
int guise_take_login(struct guise *before, const struct account *account, const gid_t *groups,
                     size_t count, struct error **err);
void guise_drop(struct guise *before);

/* The same for the engine of `policy`, where it isn't all users': where he may put
 * links, there would be root's engine the next moment, and what he said before, taken
 * for its answer. */
int guise_for_engine(struct guise *before, const char *config, const struct policy *policy,
                     uid_t uid, gid_t gid, struct error **err);

#endif
