/* Who logs in, and whether that is the module's business. */
#ifndef BERTH_PAM_LOGIN_H
#define BERTH_PAM_LOGIN_H

#include "pam/arguments.h"

#include "base/error.h"
#include "base/text.h"
#include "policy/policy.h"

#include <security/pam_modules.h>
#include <stdbool.h>

struct login {
    pam_handle_t *pamh;
    struct arguments arguments;
    struct account account; /* borrowed from NSS and PAM, as long as the handle */
    struct text shown;      /* the name as a log may hold it */
    bool unknown;           /* NSS has no such account any more: nothing else is told of it */
    bool shell;             /* the login shell is the installed berth-shell */
    bool mapped;            /* berth.conf has something for it */
    struct error *unread;   /* or it could not be asked: why */
    struct error *wrong;    /* what the arguments have that isn't known */
};

/* False: none of the module's business. That is everybody outside of sshd, uid 0 unless
 * its shell is berth-shell, and who has another shell and isn't mapped, or can't be told
 * to be: an administrator must get in when berth.conf is broken. */
bool login_read(struct login *login, pam_handle_t *pamh, int argc, const char **argv);
void login_free(struct login *login);

/* The policy; the environment, which libconfuse would look into, is hidden from it. */
struct policy *login_policy(const struct login *login, struct error **err);

/* One line to the log, and to the user where he is refused. */
void login_tell(const struct login *login, const char *doing, const char *why, bool refused);

#define cleanup_login __attribute__((cleanup(login_free)))

#endif
