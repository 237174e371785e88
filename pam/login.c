#include "config.h"

#include "pam/login.h"

#include <pwd.h>
#include <security/pam_ext.h>
#include <security/pam_modutil.h>
#include <string.h>
#include <syslog.h>
#include <unistd.h>

#define SERVICE "sshd"
#define SHELL   BERTH_LIBEXECDIR "/berth-shell"

static const char *item(const pam_handle_t *pamh, int type)
{
    const void *value = NULL;

    return pam_get_item(pamh, type, &value) == PAM_SUCCESS ? value : NULL;
}

static bool account_read(struct login *login, const char *name)
{
    const struct passwd *pw = pam_modutil_getpwnam(login->pamh, name);

    if (!pw)
        return false;
    login->account = (struct account){
        .name = pw->pw_name, .home = pw->pw_dir, .uid = pw->pw_uid, .gid = pw->pw_gid};
    login->shell = pw->pw_shell && strcmp(pw->pw_shell, SHELL) == 0;
    return true;
}

/* sshd's own environment is root's, but not berth.conf's to expand. */
static char **environment_hide(void)
{
    static char *none[] = {NULL};
    char **kept = environ;

    environ = none;
    return kept;
}

static void mapping_read(struct login *login)
{
    char **kept = environment_hide();
    int maps = policy_maps(login->arguments.config, &login->account, &login->unread);

    environ = kept;
    login->mapped = maps > 0;
}

struct policy *login_policy(const struct login *login, struct error **err)
{
    char **kept = environment_hide();
    struct policy *policy = policy_load(login->arguments.config, &login->account, err);

    environ = kept;
    return policy;
}

bool login_read(struct login *login, pam_handle_t *pamh, int argc, const char **argv)
{
    const char *service = item(pamh, PAM_SERVICE), *name = item(pamh, PAM_USER);

    *login = (struct login){.pamh = pamh};
    if (!service || strcmp(service, SERVICE) != 0 || !name || !name[0])
        return false;
    (void)arguments_read(&login->arguments, argc, argv, &login->wrong);
    text_escape(&login->shown, name, 200);
    /* sshd itself has found the account before. */
    if (!account_read(login, name)) {
        pam_syslog(pamh, LOG_ERR, "user \"%s\": NSS knows no such account",
                   text_str(&login->shown));
        login->unknown = true;
        return false;
    }
    if (login->account.uid == 0 && !login->shell)
        return false;
    mapping_read(login);
    if (login->shell || login->mapped)
        return true;
    if (login->unread)
        pam_syslog(pamh, LOG_WARNING, "user \"%s\": let alone, since its shell isn't berth's: %s",
                   text_str(&login->shown), error_text(login->unread));
    return false;
}

void login_free(struct login *login)
{
    text_free(&login->shown);
    error_clear(&login->unread);
    error_clear(&login->wrong);
}

void login_tell(const struct login *login, const char *doing, const char *why, bool refused)
{
    cleanup_text struct text plain = {0};

    text_display(&plain, why, 1000);
    pam_syslog(login->pamh, LOG_ERR, "user \"%s\": %s: %s", text_str(&login->shown), doing,
               text_str(&plain));
    if (refused)
        (void)pam_error(login->pamh, "berth: %s: %s", doing, text_str(&plain));
}
