/* The administrator's sweep: for all users what a login's own does for one
 * (sweep.h), and then what has no lock file any more, since a reboot emptied the
 * runtime directory. */
#ifndef BERTH_SESSION_REAP_H
#define BERTH_SESSION_REAP_H

#include "base/error.h"
#include "session/nss.h"

#include <stdbool.h>
#include <sys/types.h>

struct reaped {
    const char *container;
    uid_t uid;
    const char *user; /* NULL: there is no such account, or NSS gives no answer */
    const char *why;
    const char *failure; /* why it is left all the same; NULL: removed, or to be removed */
};

struct reap_report {
    void (*container)(void *data, const struct reaped *reaped);
    /* What couldn't be looked at, in words that may be hostile. */
    void (*failed)(void *data, const char *what);
    void *data;
};

struct reap_task {
    const char *config;
    struct nss *nss;
    bool look; /* only tell what would be removed */
    bool one;  /* the user `uid` alone, and what has a lock file: quick where there is none */
    uid_t uid;
    /* In place of all that: the containers of `uid`'s that a login would find again, kept
     * ones too, if nobody is in them. With `user` those of that name alone. */
    bool discard;
    const char *user;
};

/* As root. -1 where nothing could
 * be done at all. */
int reap_run(const struct reap_task *task, const struct reap_report *report, struct error **err);

#endif
