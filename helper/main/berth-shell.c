/* berth-shell: the login shell of who gets a container and nothing else. Static, and
 * unreadable once installed: nothing that a user may say or trace has a part in what
 * runs between sshd and berth-session. berth-shell(8). */
#include "config.h"

#include "base/text.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define SESSION BERTH_LIBEXECDIR "/berth-session"
#define COMMAND "SSH_ORIGINAL_COMMAND"

enum { REFUSED = 254 };

static const char usage[] =
    "Usage: berth-shell [-c COMMAND]\n"
    "The login shell of users whose sessions run in containers. It runs " SESSION ",\n"
    "whatever COMMAND is.\n"
    "\n"
    "  --help     this text\n"
    "  --version  the version\n"
    "\n"
    "See berth-shell(8).\n";

/* What the session's command is. */
struct wanted {
    bool sshds;          /* what sshd's ForceCommand says in the environment */
    const char *command; /* else this; NULL: a shell */
};

static int arguments_read(int argc, char **argv, struct wanted *wanted)
{
    *wanted = (struct wanted){0};
    if (argc <= 1)
        return 0;
    if (argc != 3 || strcmp(argv[1], "-c") != 0)
        return -1;
    /* A client without a ForceCommand may ask for the very same: what it could then
     * forge is no more than what it could have asked for. */
    wanted->sshds = strcmp(argv[2], "exec " SESSION) == 0 || strcmp(argv[2], SESSION) == 0;
    if (!wanted->sshds)
        wanted->command = argv[2];
    return 0;
}

/* No loader, C library or other one reads a variable whose name starts with "+":
 * berth-session takes them back. */
static int environment_mark(struct strings *env, const struct wanted *wanted)
{
    static const char forged[] = COMMAND "=";

    for (char **entry = environ; entry && *entry; entry++) {
        if (!wanted->sshds && strncmp(*entry, forged, sizeof forged - 1) == 0)
            continue;
        if (strings_take(env, text_format("+%s", *entry)) < 0)
            return -1;
    }
    if (wanted->command && strings_take(env, text_format("+" COMMAND "=%s", wanted->command)) < 0)
        return -1;
    /* Ours, for the C library: no cache of freed memory, which a session would keep for
     * hours. */
    return strings_add(env, "GLIBC_TUNABLES=glibc.malloc.tcache_count=0:glibc.malloc.mxfast=0");
}

/* Without strerror(3), which would look for a translation. */
static void tell_why(int errnum)
{
    if (errnum == E2BIG)
        dprintf(STDERR_FILENO,
                "berth: the command and the variables with it are longer than a program's may "
                "be: send it as the input of a shell\n");
    else
        dprintf(STDERR_FILENO,
                "berth: cannot run %s: %s: ask the administrator to install berth anew\n", SESSION,
                strerrordesc_np(errnum) ? strerrordesc_np(errnum) : "unknown error");
}

int main(int argc, char **argv)
{
    char *const session[] = {(char *)"berth-session", (char *)"--shell", NULL};
    char *none[] = {NULL};
    struct strings env = {0};
    struct wanted wanted;

    if (argc == 2 && strcmp(argv[1], "--help") == 0)
        return fputs(usage, stdout) < 0 || fflush(stdout) != 0;
    if (argc == 2 && strcmp(argv[1], "--version") == 0)
        return puts("berth-shell " PACKAGE_VERSION) < 0 || fflush(stdout) != 0;
    if (arguments_read(argc, argv, &wanted) < 0) {
        dprintf(STDERR_FILENO, "berth: berth-shell takes nothing but -c COMMAND, as sshd gives "
                               "it: see berth-shell(8)\n");
        return REFUSED;
    }
    if (environment_mark(&env, &wanted) < 0) {
        tell_why(ENOMEM);
        return REFUSED;
    }
    execve(SESSION, session, env.items ? env.items : none);
    tell_why(errno);
    strings_free(&env);
    return REFUSED;
}
