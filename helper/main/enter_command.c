#include "config.h"

#include "main/enter_command.h"

#include "main/command.h"
#include "session/enter.h"
#include "session/outcome.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define NAME "enter"

static const char usage[] =
    "Usage: berth enter [--config FILE] [--container NAME] [--root] USER [-- COMMAND [ARG]...]\n"
    "A shell, or a command, in the user's running container, with a terminal where stdin and\n"
    "stdout are one. It is no session of the user's, and doesn't keep the container. As root.\n"
    "\n"
    "  --config FILE     the configuration [" BERTH_CONFIG "]\n"
    "  --container NAME  which one, where the user has several\n"
    "  --root            as the container's root, with the capabilities that it has\n"
    "  --help            this text\n"
    "\n"
    "Exit status: the command's, 128+n where a signal ended it; 254 where it could not be run,\n"
    "with a line on stderr that says why; 2 usage.\n"
    "See berth(8).\n";

static int refuse(const struct error *err)
{
    command_say(NAME, error_text(err));
    return OUTCOME_REFUSED;
}

static int run(const struct enter *wanted, const char *user)
{
    struct enter enter = *wanted;
    cleanup_error struct error *err = NULL;
    cleanup_person struct person person = {0};
    cleanup_strings struct strings several = {0};
    int status = OUTCOME_REFUSED;

    if (geteuid() != 0) {
        command_say(NAME, "must be run as root: it is in anybody's container");
        return OUTCOME_REFUSED;
    }
    if (person_find(&person, user, &err) < 0)
        return refuse(err);
    enter.account = &person.account;
    if (enter_run(&enter, &several, &status, &err) == 0)
        return status;
    status = refuse(err);
    for (size_t i = 0; i < several.count; i++)
        fprintf(stderr, "  %s\n", several.items[i]);
    return status;
}

int enter_command(int argc, char **argv)
{
    static const struct option options[] = {{"config", required_argument, NULL, 'c'},
                                            {"container", required_argument, NULL, 'n'},
                                            {"root", no_argument, NULL, 'r'},
                                            {"help", no_argument, NULL, 'h'},
                                            {NULL, 0, NULL, 0}};
    cleanup_strings struct strings command = {0};
    struct enter enter = {.config = BERTH_CONFIG, .command = &command, .term = getenv("TERM")};
    int option;

    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        switch (option) {
        case 'c':
            enter.config = optarg;
            break;
        case 'n':
            enter.container = optarg;
            break;
        case 'r':
            enter.root = true;
            break;
        case 'h':
            return fputs(usage, stdout) < 0 || fflush(stdout) != 0;
        default:
            command_say(NAME, "unknown option, or one without its value: see berth enter --help");
            return 2;
        }
    }
    if (optind >= argc) {
        command_say(NAME, "needs a USER: see berth enter --help");
        return 2;
    }
    for (int i = optind + 1; i < argc; i++)
        if (strings_add(&command, argv[i]) < 0)
            return OUTCOME_REFUSED;
    return run(&enter, argv[optind]);
}
