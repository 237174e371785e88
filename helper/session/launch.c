#include "config.h"

#include "session/launch.h"

#include "protocol/start.h"
#include "session/environment.h"
#include "session/sftp.h"
#include "session/sftp_arguments.h"

#include <errno.h>
#include <string.h>

/* The guest's folder is in each of its containers. */
static int set_sftp(struct start *start, const struct policy *policy, const struct request *request)
{
    cleanup_strings struct strings bundled = {0};
    const bool logged = sftp_is_logged(policy, request, true);
    int rc = sftp_bundled(&bundled, policy, true);

    start->kind = START_PROGRAM;
    start->missing = sftp_missing(policy, true);
    if (rc == 0 && bundled.count > 0)
        rc = strings_add(&start->programs, bundled.items[0]);
    else if (rc == 0)
        rc = sftp_images(&start->programs, policy);
    for (size_t i = 1; rc == 0 && i < bundled.count; i++)
        rc = strings_add(&start->argv, bundled.items[i]);
    return rc == 0 ? sftp_arguments(&start->argv, policy, request->command, logged) : rc;
}

static int set_program(struct start *start, const struct policy *policy,
                       const struct request *request)
{
    const char *command = policy->force_command ? policy->force_command : request->command;

    if (sftp_is_served(policy, request))
        return set_sftp(start, policy, request);
    start->kind = command ? START_COMMAND : START_LOGIN;
    start->missing = strdup("");
    return command ? strings_add(&start->argv, command) : 0;
}

/* Where sftp begins must be there: sftp-server would begin elsewhere, and say so in its log
 * alone. The root alone doesn't tell whether berth.conf says it, or nobody anything, for the
 * login's home to be entered then. */
static const char *folder_of(const struct policy *policy, const struct request *request)
{
    static const char root[] = "/";
    const char *workdir = policy->workdir;

    if (sftp_is_served(policy, request) && policy->sftp_root)
        return policy->sftp_root;
    return workdir && workdir[strspn(workdir, "/")] == '\0' ? root : "";
}

int launch_make(struct text *payload, const struct policy *policy, const struct request *request,
                const struct client *client, struct error **err)
{
    struct start start = {.tty = request->tty, .umask = policy->umask, .termios = client->saved};
    const char *why = NULL;
    int rc = set_program(&start, policy, request);

    start.shell = strdup(policy->shell ? policy->shell : "");
    start.cwd = strdup(folder_of(policy, request));
    if (rc < 0 || !start.shell || !start.cwd || !start.missing)
        rc = error_set(err, ENOMEM, "command");
    if (rc == 0)
        rc = environment_make(&start.env, policy, request, true, err);
    (void)client_window(client, &start.window);
    if (rc == 0 && start_write(payload, &start, &why) < 0)
        rc = error_set(err, 0,
                       "the command and its environment can't be passed on: %s: put it into a "
                       "file, or send it as stdin of a shell",
                       why);
    start_clear(&start);
    return rc;
}

int launch_warm_up(struct text *payload, const struct policy *policy, struct error **err)
{
    char none[] = "";
    const struct start start = {.kind = START_WARM,
                                .umask = policy->umask,
                                .shell = policy->shell ? policy->shell : none,
                                .cwd = none,
                                .missing = none};
    const char *why;

    return start_write(payload, &start, &why) < 0 ? error_set(err, 0, "%s", why) : 0;
}
