#include "config.h"

#include "main/network_command.h"

#include "main/command.h"
#include "session/network.h"
#include "session/person.h"

#include <unistd.h>

#define NAME "network"

static const char usage[] =
    "Usage: berth network [--config FILE] --key KEY USER\n"
    "Asks the engine which process is the first in the user's container of that key, and\n"
    "notes its network for pam_berth, which runs this where forwarding = container.\n"
    "As root.\n"
    "\n"
    "  --config FILE  the configuration [" BERTH_CONFIG "]\n"
    "  --key KEY      which one: berth's label \"berth.session\" has it\n"
    "  --help         this text\n"
    "\n"
    "Exit status: 0; 1 where it can't be told, said on stderr; 2 usage.\n"
    "See berth(8), pam_berth(8).\n";

static int run(const struct network_task *wanted, const char *user)
{
    struct network_task task = *wanted;
    cleanup_error struct error *err = NULL;
    cleanup_person struct person person = {0};

    if (geteuid() != 0) {
        command_say(NAME, "must be run as root: it is of anybody's container");
        return 1;
    }
    /* sshd, which waits for it, has asked NSS for the same. */
    if (person_by_name(&person, user, &err) == 0) {
        task.account = &person.account;
        if (network_learn(&task, &err) == 0)
            return 0;
    }
    command_say(NAME, error_text(err));
    return 1;
}

int network_command(int argc, char **argv)
{
    static const struct command_usage how = {
        .command = NAME, .help = usage, .least = 1, .most = 1, .needs = "needs a USER"};
    struct network_task task = {.config = BERTH_CONFIG};
    const struct command_option options[] = {
        {"config", .value = &task.config}, {"key", .value = &task.key}, {.name = NULL}};
    int status;

    if (!command_options(&how, options, argc, argv, &status))
        return status;
    if (!task.key)
        return command_misused(NAME, "needs --key");
    return run(&task, argv[optind]);
}
