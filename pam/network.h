/* forwarding = container: the login's sshd enters the network of a container, and so does
 * all that it starts and listens on. */
#ifndef BERTH_PAM_NETWORK_H
#define BERTH_PAM_NETWORK_H

#include "pam/login.h"

#include "policy/connection.h"

/* Has the connection's container made or joined, as the user, and enters its network, which
 * `connection` then says. For good: there is no way back. */
int network_enter(const struct login *login, const struct policy *policy,
                  struct connection *connection, struct error **err);
/* A network of nobody's, in which there is nothing but a loopback, for who may not forward
 * where sshd lets all do so. */
int network_leave(struct error **err);

#endif
