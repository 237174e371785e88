/* Groups that a login has for berth's sake and nobody has otherwise. */
#ifndef BERTH_PAM_GROUPS_H
#define BERTH_PAM_GROUPS_H

#include "base/error.h"

#include <security/pam_modules.h>

/* Adds those of `names` ("docker,berth-secrets") to this process's. One that there isn't
 * is logged and left out: the helper then says what it can't reach. Root's is never
 * given. */
int groups_grant(pam_handle_t *pamh, const char *names, struct error **err);
/* The same for a process of the login's that sshd has no part in: what this handle's login
 * was given before, if anything. */
int groups_grant_again(pam_handle_t *pamh, struct error **err);

#endif
