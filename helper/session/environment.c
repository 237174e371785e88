#include "config.h"

#include "session/environment.h"

#include <errno.h>
#include <fnmatch.h>
#include <string.h>
#include <syslog.h>

static int add(struct strings *env, const char *name, const char *value)
{
    if (!value)
        return 0;
    return strings_take(env, text_format("%s=%s", name, value));
}

static bool name_valid(const char *name)
{
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_";
    static const char rest[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_0123456789";

    return *name && strchr(letters, *name) && strspn(name, rest) == strlen(name);
}

/* Set by sshd or by the host's PAM stack about the host; never the client's to
 * say, whatever the pattern. */
static bool is_hosts_own(const char *name)
{
    static const char *const names[] = {"USER",    "LOGNAME",    "HOME",   "SHELL", "MAIL",
                                        "TERM",    "PWD",        "OLDPWD", "SHLVL", "_",
                                        "DISPLAY", "XAUTHORITY", NULL};

    for (const char *const *n = names; *n; n++)
        if (strcmp(name, *n) == 0)
            return true;
    return strncmp(name, "SSH_", 4) == 0;
}

static int add_accepted(struct strings *env, const struct policy *policy,
                        const struct request *request, bool any_bytes)
{
    for (size_t i = 0; i < request->env.count; i++) {
        const char *entry = request->env.items[i];
        cleanup_string char *name = strndup(entry, strcspn(entry, "="));
        bool wanted = false;

        if (!name)
            return -1;
        for (size_t j = 0; !wanted && j < policy->accept_env.count; j++)
            wanted = fnmatch(policy->accept_env.items[j], name, 0) == 0;
        if (!wanted || !name_valid(name) || is_hosts_own(name) || !strchr(entry, '='))
            continue;
        if (!any_bytes && !utf8_valid(entry, strlen(entry)))
            syslog(LOG_NOTICE, "session=%s variable %s is not UTF-8: left out", request->session,
                   name);
        else if (strings_add(env, entry) < 0)
            return -1;
    }
    return 0;
}

/* What sshd said, or nothing where it can't be carried. */
static const char *carried(const char *value, bool any_bytes)
{
    return value && (any_bytes || utf8_valid(value, strlen(value))) ? value : NULL;
}

/* bash, as many build it, reads .bashrc for each command where SSH_CLIENT tells that sshd
 * has it run, but not within another shell: who may write his home, by sftp, would have
 * whatever he likes run before the command that he is allowed. */
static int add_level(struct strings *env, const struct policy *policy)
{
    return policy->force_command || policy->commands.count > 0 ? add(env, "SHLVL", "1") : 0;
}

int environment_make(struct strings *env, const struct policy *policy,
                     const struct request *request, bool any_bytes, struct error **err)
{
    const char *ssh_client = carried(request_getenv(request, "SSH_CLIENT"), any_bytes);
    int rc = add(env, "USER", request->account.name);

    if (rc == 0)
        rc = add(env, "LOGNAME", request->account.name);
    if (rc == 0)
        rc = add(env, "HOME", policy->home_at);
    if (rc == 0)
        rc = add(env, "SHELL", policy->shell);
    if (rc == 0)
        rc = add(env, "SSH_CONNECTION", request->connection);
    if (rc == 0)
        rc = add(env, "SSH_CLIENT", request->connection ? ssh_client : NULL);
    if (rc == 0)
        rc = add(env, "SSH_AUTH_SOCK", request->agent[0] ? request->agent : NULL);
    if (rc == 0)
        rc = add(env, "DISPLAY", request->display[0] ? request->display : NULL);
    if (rc == 0)
        rc = add(env, "XAUTHORITY", request->display[0] ? request->xauthority : NULL);
    if (rc == 0)
        rc = add(env, "TERM", carried(request->term, any_bytes));
    if (rc == 0)
        rc = add_level(env, policy);
    if (rc == 0)
        rc = add_accepted(env, policy, request, any_bytes);
    for (size_t i = 0; rc == 0 && i < policy->env.count; i++)
        rc = strings_add(env, policy->env.items[i]);
    if (rc == 0 && policy->force_command && request->command) {
        if (!carried(request->command, any_bytes))
            return error_set(err, 0,
                             "the command is not UTF-8 and cannot stand in "
                             "SSH_ORIGINAL_COMMAND beside a force_command");
        rc = add(env, "SSH_ORIGINAL_COMMAND", request->command);
    }
    return rc < 0 ? error_set(err, ENOMEM, "environment") : 0;
}
