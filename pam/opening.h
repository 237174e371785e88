/* What a login needs on this machine before its session begins, and what says so. */
#ifndef BERTH_PAM_OPENING_H
#define BERTH_PAM_OPENING_H

#include "pam/login.h"

/* The user's runtime directory, the connection's file and id, a missing home, and with
 * forwarding = container (*forwards) its network. Nothing that ~/.pam_environment says is
 * believed, and the environment must not have been cleared yet. */
int opening_make(const struct login *login, bool *forwards, struct error **err);
/* Whether it is to forward, where nothing can be made for it. */
bool opening_forwards(const struct login *login);
/* What opening_make noted for this handle: takes the connection's file away, and has
 * `berth reap` look after what was left of the user's sessions. False: it wasn't
 * called. */
bool opening_end(pam_handle_t *pamh);

#endif
