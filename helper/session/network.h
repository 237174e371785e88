/* forwarding = container: pam_berth has put the login's sshd, and so the helper, into the
 * network of a container, before any session began. The session's container must have that
 * network, or forwards would lead elsewhere than its user thinks. */
#ifndef BERTH_SESSION_NETWORK_H
#define BERTH_SESSION_NETWORK_H

#include "session/record.h"
#include "session/session.h"

/* Refuses where pam_berth hasn't, or where that container has ended. In scope session the
 * session's container is to share that of the connection's: s->network. */
int network_check(struct session *s, struct error **err);

/* Whether a shared container is the one, as it is to be joined. */
int network_joins(const struct session *s, const struct record *record, struct error **err);

/* For pam_berth, as root: asks the engine whose container `key` of the login's is, and what
 * its first process is, and notes it (policy/network.h). */
struct network_task {
    const char *config;
    const struct account *account;
    const char *key; /* lease.h */
};
int network_learn(const struct network_task *task, struct error **err);

#endif
