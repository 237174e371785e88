#include "config.h"

#include "main/kill_command.h"

#include "base/file.h"
#include "base/process.h"
#include "base/text.h"
#include "main/command.h"
#include "main/roster.h"
#include "session/lease.h"

#include <errno.h>
#include <getopt.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>
#include <unistd.h>

enum {
    /* For a session to end by itself, and for one that has to be killed to be gone. */
    END_MS = 10000,
    KILL_MS = 5000,
};

static const char usage[] =
    "Usage: berth kill [--config FILE] SESSION\n"
    "       berth kill [--config FILE] --user USER\n"
    "Ends a session, or all that a user has now, and waits until they are gone. As\n"
    "root. It keeps nobody from logging in again.\n"
    "\n"
    "  SESSION        as berth ps and the log name it\n"
    "  --user USER    all sessions of this user: a name or a uid\n"
    "  --config FILE  the configuration [" BERTH_CONFIG "]\n"
    "  --help         this text\n"
    "\n"
    "Exit status: 0; 1 where there is no such session, or one could not be ended,\n"
    "said on stderr; 2 usage.\n"
    "See berth(8).\n";

/* Those whose pidfd has not told their end, up to `ms` from now. */
static size_t await_ends(struct roster *roster, struct pollfd *fds, int ms)
{
    long long end = now_ms() + ms, left = ms;

    for (;;) {
        size_t living = 0;
        for (size_t i = 0; i < roster->count; i++) {
            fds[i] = (struct pollfd){.fd = roster->items[i].helper, .events = POLLIN};
            living += fds[i].fd >= 0;
        }
        if (living == 0 || left <= 0)
            return living;
        if (poll(fds, roster->count, (int)left) < 0 && errno != EINTR)
            return living;
        for (size_t i = 0; i < roster->count; i++)
            if (fds[i].revents)
                close_fd(&roster->items[i].helper);
        left = end - now_ms();
    }
}

static void send_all(const struct roster *roster, int number)
{
    for (size_t i = 0; i < roster->count; i++)
        /* It may have ended meanwhile: then that is told. */
        if (roster->items[i].helper >= 0)
            (void)process_signal(roster->items[i].helper, number);
}

static void describe(struct text *line, const struct present *present)
{
    text_display(line, present->known ? present->entry.session : "a session", 64);
    text_puts(line, " (");
    text_display(line, present->user, 200);
    text_puts(line, ")");
}

/* The session's name stands there without quotes, and is the user's word: with a blank
 * in it, it would say what comes next. */
static void log_kill(const struct present *present)
{
    cleanup_text struct text line = {0};
    const char *session = present->known ? present->entry.session : "";

    text_puts(&line, "kill session=");
    text_puts(&line, lease_is_key(session) ? session : "unknown");
    text_puts(&line, " user=\"");
    text_escape(&line, present->user, 200);
    text_printf(&line, "\" uid=%u pid=%d", (unsigned)present->uid, (int)present->pid);
    syslog(LOG_NOTICE, "%s", text_str(&line));
}

/* `forced`: only SIGKILL ended it. */
static void tell(const struct present *present, bool forced)
{
    cleanup_text struct text line = {0};

    describe(&line, present);
    printf("%s: %s\n", text_str(&line), forced ? "killed: it did not end by itself" : "ended");
}

static size_t end_all(struct roster *roster)
{
    struct pollfd *fds = calloc(roster->count + 1, sizeof *fds);
    bool *forced = calloc(roster->count + 1, sizeof *forced);
    size_t left = roster->count;

    if (fds && forced) {
        for (size_t i = 0; i < roster->count; i++)
            log_kill(&roster->items[i]);
        send_all(roster, SIGTERM);
        left = await_ends(roster, fds, END_MS);
        for (size_t i = 0; i < roster->count; i++)
            forced[i] = roster->items[i].helper >= 0;
        if (left > 0) {
            send_all(roster, SIGKILL);
            left = await_ends(roster, fds, KILL_MS);
        }
        for (size_t i = 0; i < roster->count; i++)
            if (roster->items[i].helper < 0)
                tell(&roster->items[i], forced[i]);
    }
    for (size_t i = 0; i < roster->count; i++) {
        cleanup_text struct text line = {0};
        if (roster->items[i].helper < 0)
            continue;
        describe(&line, &roster->items[i]);
        text_printf(&line, ": process %d has not ended", (int)roster->items[i].pid);
        command_say("kill", text_str(&line));
    }
    free(fds);
    free(forced);
    return left;
}

static int run(const char *config, const char *user, const char *session)
{
    struct roster roster = {0};

    if (geteuid() != 0) {
        command_say("kill", "must be run as root: it ends sessions of all users");
        return 1;
    }
    cleanup_string char *runtime_dir = roster_runtime_dir("kill", config);
    const struct roster_query query = {.command = "kill",
                                       .runtime_dir = runtime_dir,
                                       .user = user,
                                       .session = session,
                                       .helpers = true};
    if (!runtime_dir || roster_load(&roster, &query) < 0)
        return 1;
    int rc = roster.failed ? 1 : 0;
    if (session && roster.count == 0) {
        cleanup_string char *none = text_format("there is no session %s: see berth ps", session);
        command_say("kill", none ? none : "out of memory");
        rc = 1;
    } else {
        size_t left = end_all(&roster);
        printf("%zu ended\n", roster.count - left);
        rc = left > 0 ? 1 : rc;
    }
    roster_free(&roster);
    return command_finish("kill", rc);
}

int kill_command(int argc, char **argv)
{
    static const struct option options[] = {{"config", required_argument, NULL, 'c'},
                                            {"user", required_argument, NULL, 'u'},
                                            {"help", no_argument, NULL, 'h'},
                                            {NULL, 0, NULL, 0}};
    const char *config = BERTH_CONFIG, *user = NULL;
    int option;

    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        switch (option) {
        case 'c':
            config = optarg;
            break;
        case 'u':
            user = optarg;
            break;
        case 'h':
            return fputs(usage, stdout) < 0 || fflush(stdout) != 0;
        default:
            command_say("kill", "unknown option, or one without its value: see berth kill --help");
            return 2;
        }
    }
    if (argc - optind != (user ? 0 : 1)) {
        command_say("kill", "takes one session, or --user and a user: see berth kill --help");
        return 2;
    }
    return run(config, user, user ? NULL : argv[optind]);
}
