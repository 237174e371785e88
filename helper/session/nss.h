/* The system's user database (NSS), asked by a process of its own: with LDAP the answer
 * is a server's, or a daemon's, and may never come. For the administrator's tool, which
 * has more to do than to wait for it; a login can only wait (nss_alarm.h). */
#ifndef BERTH_SESSION_NSS_H
#define BERTH_SESSION_NSS_H

#include "base/error.h"
#include "session/person.h"

#include <stdbool.h>
#include <sys/types.h>

enum nss_state {
    NSS_ANSWERS,
    NSS_SILENT, /* it has not answered in time, and isn't asked again */
    NSS_ENDED,  /* who asks it has ended, or could not be started */
};

struct nss {
    int fd; /* to who asks */
    pid_t pid;
    enum nss_state state;
    bool said; /* nss_try has told that it failed */
};

/* Forks. To be called before anything is open that a process which hangs must not
 * hold; nss_close ends it. */
struct nss nss_open(void);
void nss_close(struct nss *nss);
#define cleanup_nss __attribute__((cleanup(nss_close)))

struct nss_query {
    const char *name; /* NULL: by uid */
    uid_t uid;
    bool groups; /* these too; else `person` has none */
};

/* person_find, or person_by_uid, that takes NSS_ALARM_S seconds at most. ERROR_NOT_FOUND:
 * there is no such account; ERROR_LOST: there was no answer. */
int nss_ask(struct nss *nss, const struct nss_query *query, struct person *person,
            struct error **err);

/* nss_ask for who can do without the answer: another failure than ERROR_NOT_FOUND is
 * told to `failed`, the first one. */
typedef void nss_failed(void *data, const char *what);
bool nss_try(struct nss *nss, const struct nss_query *query, struct person *person,
             nss_failed *failed, void *data);

#endif
