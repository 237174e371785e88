/* berth-guest: the first process of a container. protocol/message.h. */
#include "config.h"

#include "base/file.h"
#include "guest/creator.h"
#include "guest/guest.h"

#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

static const char usage[] =
    "Usage: berth-guest\n"
    "Runs the sessions of a container, whose first process it is. berth-session starts\n"
    "it there, at " GUEST_DIR "/berth-guest.\n"
    "\n"
    "  --help     this text\n"
    "  --version  the version\n";

static int fail(const char *what)
{
    fprintf(stderr, "berth-guest: %s\n", what);
    return 1;
}

/* What whoever started the container had ignored, its programs don't. */
static void default_signals(void)
{
    for (int n = 1; n <= SIGRTMAX; n++)
        if (n != SIGKILL && n != SIGSTOP)
            signal(n, SIG_DFL);
}

static void block_signals(void)
{
    sigset_t heeded;

    sigemptyset(&heeded);
    sigaddset(&heeded, SIGCHLD);
    sigaddset(&heeded, SIGTERM);
    sigaddset(&heeded, SIGINT);
    sigprocmask(SIG_BLOCK, &heeded, NULL);
}

/* As many descriptors as it may have; a session gets what the runtime gave. */
static void raise_limit(struct rlimit *before)
{
    if (getrlimit(RLIMIT_NOFILE, before) == 0) {
        struct rlimit most = {before->rlim_max, before->rlim_max};
        setrlimit(RLIMIT_NOFILE, &most);
    }
}

int main(int argc, char **argv)
{
    cleanup_error struct error *err = NULL;
    struct session_setting setting = {.environment = environ};
    struct creator creator;

    /* Nobody inside traces it or sees its descriptors. */
    prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
    if (argc == 2 && strcmp(argv[1], "--help") == 0)
        return fputs(usage, stdout) < 0 || fflush(stdout) != 0;
    if (argc == 2 && strcmp(argv[1], "--version") == 0)
        return puts("berth-guest " PACKAGE_VERSION) < 0 || fflush(stdout) != 0;
    if (argc > 1)
        return fail("takes no arguments: see berth-guest --help");
    if (getpid() != 1)
        return fail("runs as a container's first process alone: berth-session starts it there");
    if (fd_own_only() < 0)
        return fail("cannot open /dev/null");
    /* A START's memory goes back when it is freed; by itself glibc keeps some MiB. */
    mallopt(M_MMAP_THRESHOLD, 64 * 1024);
    default_signals();
    block_signals();
    raise_limit(&setting.files);
    /* Whoever started it has gone; what it had in it may be started again. */
    if (creator_meet(&creator, &err) < 0) {
        fail(error_text(err));
        return GUEST_STOPPED;
    }
    setting.grace = creator.listen.grace;
    int status = guest_serve(&creator, &setting, &err);
    return status < 0 ? fail(error_text(err)) : status;
}
