/* PAM's environment of a login, which other modules fill from files that the user may
 * write (~/.pam_environment), and which what sshd runs on the host starts with. */
#ifndef BERTH_PAM_VARIABLES_H
#define BERTH_PAM_VARIABLES_H

#include "base/error.h"

#include <security/pam_modules.h>

/* Deletes every variable that isn't on the list (pam_berth(8)). */
int variables_clear(pam_handle_t *pamh, struct error **err);

#endif
