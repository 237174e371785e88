#include "config.h"

#include "main/enter_command.h"

#include "base/file.h"
#include "main/command.h"
#include "session/enter.h"
#include "session/nss.h"
#include "session/outcome.h"

#include <fcntl.h>
#include <limits.h>
#include <stdint.h>
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

static void on_failed(void *data, const char *what)
{
    (void)data;
    command_say(NAME, what);
}

/* Who logged in, whatever became of his uid since (credentials of the login,
 * audit_setloginuid(3)); -1 where nobody did. */
static long long login_uid(void)
{
    char text[16] = "";
    cleanup_fd int fd = open("/proc/self/loginuid", O_RDONLY | O_CLOEXEC);
    ssize_t n = fd >= 0 ? read(fd, text, sizeof text - 1) : -1;
    char *end;
    unsigned long uid = strtoul(text, &end, 10);

    return n <= 0 || end == text || uid >= UINT32_MAX ? -1 : (long long)uid;
}

static int run(const struct enter *wanted, const char *user)
{
    struct enter enter = *wanted;
    cleanup_error struct error *err = NULL;
    cleanup_person struct person person = {0}, by = {0};
    cleanup_strings struct strings several = {0};
    int status = OUTCOME_REFUSED;

    if (geteuid() != 0) {
        command_say(NAME, "must be run as root: it is in anybody's container");
        return OUTCOME_REFUSED;
    }
    cleanup_nss struct nss nss = nss_open();
    if (nss_ask(&nss, &(struct nss_query){.name = user, .groups = true}, &person, &err) < 0)
        return refuse(err);
    enter.account = &person.account;
    enter.by_uid = login_uid();
    if (enter.by_uid >= 0 &&
        nss_try(&nss, &(struct nss_query){.uid = (uid_t)enter.by_uid}, &by, on_failed, NULL))
        enter.by = by.account.name;
    nss_close(&nss);
    if (enter_run(&enter, &several, &status, &err) == 0)
        return status;
    status = refuse(err);
    for (size_t i = 0; i < several.count; i++)
        fprintf(stderr, "  %s\n", several.items[i]);
    return status;
}

int enter_command(int argc, char **argv)
{
    static const struct command_usage how = {
        .command = NAME, .help = usage, .least = 1, .most = INT_MAX, .needs = "needs a USER"};
    cleanup_strings struct strings command = {0};
    struct enter enter = {.config = BERTH_CONFIG, .command = &command, .term = getenv("TERM")};
    const struct command_option options[] = {{"config", .value = &enter.config},
                                             {"container", .value = &enter.container},
                                             {"root", .flag = &enter.root},
                                             {.name = NULL}};
    int status;

    if (!command_options(&how, options, argc, argv, &status))
        return status;
    for (int i = optind + 1; i < argc; i++)
        if (strings_add(&command, argv[i]) < 0)
            return OUTCOME_REFUSED;
    return run(&enter, argv[optind]);
}
