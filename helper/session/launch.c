#include "config.h"

#include "session/launch.h"

#include "protocol/start.h"
#include "session/command.h"
#include "session/environment.h"

#include <errno.h>
#include <string.h>

static int set_program(struct start *start, const struct policy *policy,
                       const struct request *request)
{
    const char *command = policy->force_command ? policy->force_command : request->command;

    if (request->kind == REQUEST_SFTP && !policy->force_command) {
        start->kind = START_PROGRAM;
        start->missing = command_sftp_missing(policy);
        return start->missing && command_sftp_programs(&start->programs, policy) == 0
                   ? command_sftp_arguments(&start->argv, request)
                   : -1;
    }
    start->kind = command ? START_COMMAND : START_LOGIN;
    start->missing = strdup("");
    return command ? strings_add(&start->argv, command) : 0;
}

int launch_make(struct text *payload, const struct policy *policy, const struct request *request,
                const struct client *client, struct error **err)
{
    struct start start = {.tty = request->tty, .termios = client->saved};
    const char *why = NULL;
    int rc = set_program(&start, policy, request);

    start.shell = strdup(policy->shell ? policy->shell : "");
    start.cwd = strdup("");
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
                                .shell = policy->shell ? policy->shell : none,
                                .cwd = none,
                                .missing = none};
    const char *why;

    return start_write(payload, &start, &why) < 0 ? error_set(err, 0, "%s", why) : 0;
}
