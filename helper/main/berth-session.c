/* berth-session: sshd's ForceCommand. berth-session(8). */
#include "config.h"

#include "base/file.h"
#include "base/process.h"
#include "base/text.h"
#include "session/hold.h"
#include "session/outcome.h"
#include "session/request.h"
#include "session/session.h"

#include <getopt.h>
#include <signal.h>
#include <stdbool.h>
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
    "Usage: berth-session [--config FILE] [--hold | --shell]\n"
    "Runs the login that sshd handed over in a container of its own.\n"
    "sshd starts it: ForceCommand exec " BERTH_LIBEXECDIR "/berth-session\n"
    "\n"
    "  --config FILE  the configuration [" BERTH_CONFIG "]\n"
    "  --hold         pam_berth runs it, to keep a container for a connection that forwards\n"
    "  --shell        berth-shell runs it, and has marked the variables\n"
    "  --help         this text\n"
    "  --version      the version\n"
    "\n"
    "The command comes in SSH_ORIGINAL_COMMAND; without it a login shell runs.\n"
    "Exit status: the command's; where a signal ended it, the same signal (direct)\n"
    "or 128+n (attach); 254 where berth refused or failed, with a line on stderr\n"
    "that says why.\n"
    "See berth-session(8), berth.conf(5).\n";

/* By a login into a running container, with a short berth.conf. */
enum { HEAP_USED = 80 * 1024 };

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

/* As the command did: sshd then tells its client exit-signal (RFC 4254, 6.10). No
 * core is dumped: protect() saw to that. */
static void end_by(int number)
{
    sigset_t only;

    sigemptyset(&only);
    sigaddset(&only, number);
    signal(number, SIG_DFL);
    sigprocmask(SIG_UNBLOCK, &only, NULL);
    raise(number);
}

int main(int argc, char **argv)
{
    static const struct option options[] = {
        {"config", required_argument, NULL, 'c'}, {"hold", no_argument, NULL, 'k'},
        {"shell", no_argument, NULL, 's'},        {"help", no_argument, NULL, 'h'},
        {"version", no_argument, NULL, 'V'},      {NULL, 0, NULL, 0}};
    const char *config = BERTH_CONFIG;
    struct strings env = {0};
    bool marked = false, holds = false;
    int option;

    protect();
    process_expect(HEAP_USED);
    signal(SIGPIPE, SIG_IGN); /* a closed stderr is an error to handle */
    opterr = 0;
    if (fd_own_only() < 0 || take_environment(&env) < 0) {
        outcome_tell("cannot set itself up");
        return OUTCOME_REFUSED;
    }
    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        switch (option) {
        case 'c':
            config = optarg;
            break;
        case 'k':
            holds = true;
            break;
        case 's':
            marked = true;
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
    if (marked)
        request_unmark(&env);
    openlog("berth-session", LOG_PID, LOG_AUTHPRIV);
    struct session_end end = {0};
    if (holds)
        end.status = hold_run(config, &env);
    else
        end = session_run(config, &env);
    strings_free(&env);
    if (end.signal)
        end_by(end.signal);
    return end.status;
}
