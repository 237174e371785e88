/* The living sessions, as the administrator's commands want them: sorted, with text
 * that a terminal can show. */
#ifndef BERTH_MAIN_ROSTER_H
#define BERTH_MAIN_ROSTER_H

#include "base/error.h"
#include "session/nss.h"
#include "session/register.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct present {
    uid_t uid;
    pid_t pid;
    bool known;                 /* else nothing below but `user` */
    int helper;                 /* pidfd, -1: not asked for */
    char *user;                 /* the login's name; "uid 2001" where there is none */
    struct session_entry entry; /* its text may be hostile */
};

struct roster {
    struct present *items;
    size_t count;
    bool failed; /* something could not be read: said */
};

struct roster_query {
    const char *command; /* "ps": who says what fails */
    const char *runtime_dir;
    struct nss *nss;
    const char *user;    /* a name or a uid; NULL: all */
    const char *session; /* NULL: all */
    bool helpers;        /* with pidfds: who has gone meanwhile is left out */
};

/* Where the registers are, and how the log is written: what berth.conf says to all
 * users. NULL: it was said why not. */
struct policy *roster_policy(const char *command, const char *config);
/* -1: nothing could be read at all, which was said. */
int roster_load(struct roster *roster, const struct roster_query *query);
void roster_free(struct roster *roster);
/* A name or a uid: an account's uid, or one without an account. `person` is the
 * account where it was asked by its name. */
int roster_find_user(struct nss *nss, const char *user, uid_t *uid, struct person *person,
                     struct error **err);

#endif
