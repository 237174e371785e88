/* berth-session: sshd's ForceCommand. berth-session(8). */
#include "config.h"

#include "base/text.h"
#include "session/outcome.h"
#include "session/session.h"

#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <syslog.h>
#include <unistd.h>

#ifdef __SANITIZE_ADDRESS__
/* The leak check needs ptrace, which a process that isn't dumpable refuses. */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
    return "detect_leaks=0";
}
#endif

static const char usage[] =
    "Usage: berth-session [--config FILE]\n"
    "Runs the login that sshd handed over in a container of its own.\n"
    "sshd starts it: ForceCommand exec " BERTH_LIBEXECDIR "/berth-session\n"
    "\n"
    "  --config FILE  the configuration [" BERTH_CONFIG "]\n"
    "  --help         this text\n"
    "  --version      the version\n"
    "\n"
    "The command comes in SSH_ORIGINAL_COMMAND; without it a login shell runs.\n"
    "Exit status: the command's; 128+n where signal n ended it; 254 where berth\n"
    "refused or failed, with one line on stderr that says why.\n"
    "See berth-session(8), berth.conf(5).\n";

/* 0, 1, 2 are there; nothing else is inherited. */
static int own_descriptors(void)
{
    int fd;

    do
        fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    while (fd >= 0 && fd < 3);
    if (fd < 0)
        return -1;
#ifdef HAVE_CLOSE_RANGE
    return close_range(3, ~0U, 0);
#else
    for (int i = 3; i < 1024; i++)
        close(i);
    return 0;
#endif
}

/* Nobody of the same uid looks into it, no child gains anything, nothing of it
 * lands on disk. */
static void protect(void)
{
    struct rlimit no_core = {0, 0};

    setrlimit(RLIMIT_CORE, &no_core);
    prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
}

/* The session's variables are data: no library may find them. */
static int take_environment(struct strings *env)
{
    for (char **entry = environ; entry && *entry; entry++)
        if (strings_add(env, *entry) < 0)
            return -1;
    return clearenv();
}

int main(int argc, char **argv)
{
    static const struct option options[] = {{"config", required_argument, NULL, 'c'},
                                            {"help", no_argument, NULL, 'h'},
                                            {"version", no_argument, NULL, 'V'},
                                            {NULL, 0, NULL, 0}};
    const char *config = BERTH_CONFIG;
    struct strings env = {0};
    int option;

    protect();
    signal(SIGPIPE, SIG_IGN); /* a closed stderr is an error to handle */
    opterr = 0;
    if (own_descriptors() < 0 || take_environment(&env) < 0) {
        outcome_tell("cannot set itself up");
        return OUTCOME_REFUSED;
    }
    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        switch (option) {
        case 'c':
            config = optarg;
            break;
        case 'h':
            return fputs(usage, stdout) < 0 || fflush(stdout) != 0;
        case 'V':
            return puts("berth-session " PACKAGE_VERSION) < 0 || fflush(stdout) != 0;
        default:
            outcome_tell("unknown option, or one without its value: see berth-session --help");
            return OUTCOME_REFUSED;
        }
    }
    if (optind < argc) {
        outcome_tell("berth-session takes no arguments: see berth-session --help");
        return OUTCOME_REFUSED;
    }
    openlog("berth-session", LOG_PID, LOG_AUTHPRIV);
    int status = session_run(config, &env);
    strings_free(&env);
    return status;
}
