/* berth: the administrator's tool. berth(8). */
#include "config.h"

#include "main/bundle_command.h"
#include "main/check_command.h"
#include "main/enter_command.h"
#include "main/explain_command.h"
#include "main/kill_command.h"
#include "main/metrics_command.h"
#include "main/network_command.h"
#include "main/ps_command.h"
#include "main/reap_command.h"

#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>
#include <unistd.h>

enum { USAGE = 2 };

static const struct command {
    const char *name;
    int (*run)(int argc, char **argv);
    const char *does;
} commands[] = {
    {"check", check_command, "look for holes and faults around berth: sshd, PAM, accounts, engine"},
    {"explain", explain_command, "say what a user gets, and which line of berth.conf says so"},
    {"ps", ps_command, "list the sessions that are there"},
    {"kill", kill_command, "end sessions"},
    {"enter", enter_command, "a shell or a command in a user's running container"},
    {"metrics", metrics_command, "print what is counted, for monitoring"},
    {"network", network_command, "note a container's network (pam_berth runs it)"},
    {"reap", reap_command, "remove the containers that no session needs any more"},
    {"bundle", bundle_command, "copy this machine's sftp-server to where containers run it"},
};
enum { COMMANDS = sizeof commands / sizeof *commands };

static int help(void)
{
    printf("Usage: berth COMMAND [OPTION]...\n"
           "What the administrator of berth does, one thing a command:\n"
           "\n");
    for (size_t i = 0; i < COMMANDS; i++)
        printf("  %-10s %s\n", commands[i].name, commands[i].does);
    printf("\n"
           "  --help     this text; berth COMMAND --help: the command's\n"
           "  --version  the version\n"
           "\n"
           "See berth(8).\n");
    return fflush(stdout) != 0;
}

/* What it opens never becomes its own stdin, stdout or stderr. */
static int have_descriptors(void)
{
    int fd;

    do
        fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    while (fd >= 0 && fd < 3);
    return fd < 0 ? -1 : close(fd);
}

/* Neither berth.conf nor a library goes by the caller's variables; what his terminal
 * is called stays, for a shell in a container. */
static int clear_environment(void)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                "-+._";
    const char *value = getenv("TERM");
    char term[64] = "";

    if (value && strlen(value) < sizeof term && strspn(value, plain) == strlen(value))
        memcpy(term, value, strlen(value) + 1);
    if (clearenv() != 0)
        return -1;
    return term[0] ? setenv("TERM", term, 1) : 0;
}

int main(int argc, char **argv)
{
    const char *name = argc > 1 ? argv[1] : "";

    if (have_descriptors() < 0 || clear_environment() < 0) {
        fputs("berth: cannot set itself up\n", stderr);
        return 1;
    }
    signal(SIGCHLD, SIG_DFL); /* whoever started it may have its children forgotten */
    signal(SIGPIPE, SIG_IGN); /* an engine that hangs up is an error to handle */
    opterr = 0;
    if (strcmp(name, "--help") == 0)
        return help();
    if (strcmp(name, "--version") == 0)
        return puts("berth " PACKAGE_VERSION) < 0 || fflush(stdout) != 0;
    openlog("berth", LOG_PID, LOG_AUTHPRIV);
    for (size_t i = 0; i < COMMANDS; i++)
        if (strcmp(name, commands[i].name) == 0)
            return commands[i].run(argc - 1, argv + 1);
    fputs(name[0] ? "berth: no such command: see berth --help\n"
                  : "berth: needs a command: see berth --help\n",
          stderr);
    return USAGE;
}
