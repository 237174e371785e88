/* pam_berth: for logins that land in containers, what only root can do for them.
 * pam_berth(8). */
#include "config.h"

#include "pam/groups.h"
#include "pam/login.h"
#include "pam/opening.h"

#include <security/pam_ext.h>
#include <security/pam_modules.h>
#include <syslog.h>

/* Whatever else the stack has to say about a login, this has no part in it. */
int pam_sm_authenticate(pam_handle_t *pamh, int flags, int argc, const char **argv)
{
    (void)pamh;
    (void)flags;
    (void)argc;
    (void)argv;
    return PAM_IGNORE;
}

/* Of who has another shell nothing was promised but what berth-session refuses itself;
 * an administrator whom a pattern matches must get in to mend it. */
static int refuse(const struct login *login, const char *doing, const struct error *why, int code)
{
    login_tell(login, doing, error_text(why), login->shell);
    return login->shell ? code : PAM_IGNORE;
}

/* Who is to forward, whatever his shell: forwards would lead to this machine's own network. */
static int refuse_session(const struct login *login, const struct error *why, bool forwards)
{
    if (!forwards)
        return refuse(login, "session", why, PAM_SESSION_ERR);
    login_tell(login, "session", error_text(why), true);
    return PAM_SESSION_ERR;
}

static int grant(const struct login *login)
{
    cleanup_error struct error *err = NULL;

    if (login->wrong)
        return refuse(login, "credentials", login->wrong, PAM_SERVICE_ERR);
    /* Another shell could be made to run something else with them. */
    if (!login->shell || !login->mapped || login->account.uid == 0 || !login->arguments.groups)
        return PAM_IGNORE;
    if (groups_grant(login->pamh, login->arguments.groups, &err) < 0)
        return refuse(login, "credentials", err, PAM_CRED_ERR);
    if (login->arguments.debug)
        pam_syslog(login->pamh, LOG_DEBUG, "user \"%s\": has groups %s", text_str(&login->shown),
                   login->arguments.groups);
    return PAM_SUCCESS;
}

int pam_sm_setcred(pam_handle_t *pamh, int flags, int argc, const char **argv)
{
    cleanup_login struct login login = {0};

    if (!(flags & (PAM_ESTABLISH_CRED | PAM_REINITIALIZE_CRED | PAM_REFRESH_CRED)) ||
        !login_read(&login, pamh, argc, argv))
        return PAM_IGNORE;
    return grant(&login);
}

int pam_sm_acct_mgmt(pam_handle_t *pamh, int flags, int argc, const char **argv)
{
    cleanup_login struct login login = {0};
    cleanup_error struct error *err = NULL;

    (void)flags;
    if (!login_read(&login, pamh, argc, argv))
        return PAM_IGNORE;
    if (login.wrong)
        return refuse(&login, "login", login.wrong, PAM_SERVICE_ERR);
    if (login.mapped)
        return PAM_IGNORE;
    if (login.unread)
        return refuse(&login, "login", login.unread, PAM_PERM_DENIED);
    error_set(&err, 0,
              "its shell is berth-shell, and no user or group section of %s matches it; ask the "
              "administrator for one",
              login.arguments.config);
    return refuse(&login, "login", err, PAM_PERM_DENIED);
}

int pam_sm_open_session(pam_handle_t *pamh, int flags, int argc, const char **argv)
{
    cleanup_login struct login login = {0};
    cleanup_error struct error *err = NULL;
    bool forwards = false;

    (void)flags;
    /* Where sshd is open for some: he may be one of those whose forwards mustn't end here. */
    if (!login_read(&login, pamh, argc, argv))
        return login.unknown && login.arguments.forwarding ? PAM_SESSION_ERR : PAM_IGNORE;
    if (login.wrong && login.shell)
        return refuse(&login, "session", login.wrong, PAM_SERVICE_ERR);
    if (login.wrong)
        return refuse_session(&login, login.wrong, opening_forwards(&login));
    if (opening_make(&login, &forwards, &err) == 0)
        return PAM_SUCCESS;
    return refuse_session(&login, err, forwards);
}

int pam_sm_close_session(pam_handle_t *pamh, int flags, int argc, const char **argv)
{
    (void)flags;
    (void)argc;
    (void)argv;
    return opening_end(pamh) ? PAM_SUCCESS : PAM_IGNORE;
}
