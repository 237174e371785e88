#include "config.h"

#include "main/kill_command.h"

#include "base/file.h"
#include "base/process.h"
#include "base/text.h"
#include "main/command.h"
#include "main/roster.h"
#include "policy/policy.h"
#include "session/audit.h"
#include "session/reap.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    /* For a session to end by itself, and for one that has to be killed to be gone. */
    END_MS = 10000,
    KILL_MS = 5000,
};

static const char usage[] =
    "Usage: berth kill [--config FILE] SESSION\n"
    "       berth kill [--config FILE] --user USER [--remove]\n"
    "Ends a session, or all that a user has now, and waits until they are gone. As\n"
    "root. It keeps nobody from logging in again.\n"
    "\n"
    "  SESSION        as berth ps and the log name it\n"
    "  --user USER    all sessions of this user: a name or a uid\n"
    "  --remove       and his container (scope = user) with its files, also where he\n"
    "                 keeps it (on_idle = stop)\n"
    "  --config FILE  the configuration [" BERTH_CONFIG "]\n"
    "  --help         this text\n"
    "\n"
    "Exit status: 0; 1 where there is no such session, or one could not be ended,\n"
    "said on stderr; 2 usage.\n"
    "See berth(8).\n";

static const char needs[] = "takes one session, or --user and a user";

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

/* `forced`: only SIGKILL ended it. */
static void tell(const struct present *present, bool forced)
{
    cleanup_text struct text line = {0};

    describe(&line, present);
    printf("%s: %s\n", text_str(&line), forced ? "killed: it did not end by itself" : "ended");
}

static void log_kill(enum audit_format format, const struct present *present)
{
    audit_kill(format, &(struct audit_kill){.session = present->known ? present->entry.session : "",
                                            .user = present->user,
                                            .uid = present->uid,
                                            .pid = present->pid});
}

static size_t end_all(struct roster *roster, enum audit_format format)
{
    struct pollfd *fds = calloc(roster->count + 1, sizeof *fds);
    bool *forced = calloc(roster->count + 1, sizeof *forced);
    size_t left = roster->count;

    if (fds && forced) {
        for (size_t i = 0; i < roster->count; i++)
            log_kill(format, &roster->items[i]);
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

struct removal {
    unsigned removed;
    bool failed;
};

static void on_failed(void *data, const char *what)
{
    struct removal *removal = data;

    removal->failed = true;
    command_say("kill", what);
}

static void on_container(void *data, const struct reaped *reaped)
{
    struct removal *removal = data;
    cleanup_string char *line = NULL;

    if (!reaped->failure) {
        printf("%s: removed\n", reaped->container);
        removal->removed++;
        return;
    }
    line = text_format("%s: left: %s", reaped->container, reaped->failure);
    on_failed(removal, line ? line : "out of memory");
}

/* What he would find again at his next login. */
static int remove_containers(const char *config, const char *user, struct nss *nss)
{
    struct removal removal = {0};
    const struct reap_report report = {
        .container = on_container, .failed = on_failed, .data = &removal};
    struct reap_task task = {.config = config, .nss = nss, .discard = true};
    cleanup_person struct person person = {0};
    cleanup_error struct error *err = NULL;

    int rc = roster_find_user(nss, user, &task.uid, &person, &err);
    task.user = person.account.name;
    if (rc < 0 || reap_run(&task, &report, &err) < 0)
        on_failed(&removal, error_text(err));
    printf("%u removed\n", removal.removed);
    return removal.failed ? 1 : 0;
}

struct wanted {
    const char *config, *user, *session;
    bool remove;
};

static int run(const struct wanted *wanted)
{
    const char *config = wanted->config, *user = wanted->user, *session = wanted->session;
    struct roster roster = {0};

    if (geteuid() != 0) {
        command_say("kill", "must be run as root: it ends sessions of all users");
        return 1;
    }
    cleanup_policy struct policy *policy = roster_policy("kill", config);
    if (!policy)
        return 1;
    cleanup_nss struct nss nss = nss_open();
    const struct roster_query query = {.command = "kill",
                                       .runtime_dir = policy->runtime_dir,
                                       .nss = &nss,
                                       .user = user,
                                       .session = session,
                                       .helpers = true};
    if (roster_load(&roster, &query) < 0)
        return 1;
    int rc = roster.failed ? 1 : 0;
    if (session && roster.count == 0) {
        cleanup_string char *none = text_format("there is no session %s: see berth ps", session);
        command_say("kill", none ? none : "out of memory");
        rc = 1;
    } else {
        size_t left = end_all(&roster, policy->audit_format);
        printf("%zu ended\n", roster.count - left);
        rc = left > 0 ? 1 : rc;
        if (wanted->remove && left == 0 && remove_containers(config, user, &nss) != 0)
            rc = 1;
    }
    roster_free(&roster);
    return command_finish("kill", rc);
}

int kill_command(int argc, char **argv)
{
    static const struct command_usage how = {
        .command = "kill", .help = usage, .most = 1, .needs = needs};
    struct wanted wanted = {.config = BERTH_CONFIG};
    const struct command_option options[] = {{"config", .value = &wanted.config},
                                             {"user", .value = &wanted.user},
                                             {"remove", .flag = &wanted.remove},
                                             {.name = NULL}};
    int status;

    if (!command_options(&how, options, argc, argv, &status))
        return status;
    if ((optind < argc) == (wanted.user != NULL))
        return command_misused("kill", needs);
    if (wanted.remove && !wanted.user)
        return command_misused("kill", "--remove goes with --user");
    wanted.session = wanted.user ? NULL : argv[optind];
    return run(&wanted);
}
