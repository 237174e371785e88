#include "config.h"

#include "pam/variables.h"

#include <errno.h>
#include <fnmatch.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* What no loader, shell or library takes for a program, a path of one or an option:
 * the language, which sshd lets clients say as well, and what modules made of the
 * session itself. No PATH: an sshrc would go by it. */
static const char *const kept[] = {"LANG", "LC_*", "XDG_SESSION_*", "XDG_RUNTIME_DIR",
                                   "KRB5CCNAME"};

static bool is_kept(const char *name)
{
    for (size_t i = 0; i < sizeof kept / sizeof *kept; i++)
        if (fnmatch(kept[i], name, 0) == 0)
            return true;
    return false;
}

int variables_clear(pam_handle_t *pamh, struct error **err)
{
    char **list = pam_getenvlist(pamh);
    int rc = list ? 0 : error_set(err, ENOMEM, "PAM's environment");

    for (char **entry = list; entry && *entry; entry++) {
        /* Without its "=" PAM deletes it. */
        (*entry)[strcspn(*entry, "=")] = '\0';
        if (rc == 0 && !is_kept(*entry) && pam_putenv(pamh, *entry) != PAM_SUCCESS)
            rc = error_set(err, 0, "cannot delete a variable from PAM's environment");
        free(*entry);
    }
    free(list);
    return rc;
}
