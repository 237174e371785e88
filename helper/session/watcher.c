#include "config.h"

#include "session/watcher.h"

#include "base/file.h"
#include "engine/container.h"
#include "session/identity.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

enum {
    /* An engine that is away is asked again for so long; a later login's sweep
     * finds what is left. */
    GIVE_UP_MS = 10 * 60 * 1000,
    /* A create that was given up comes into being within its own limit, and
     * some more on a busy machine. */
    LATE_CREATE_MS = ENGINE_CREATE_MS + 10000,
    LATE_CREATE_AGE = 3600, /* s; for a sweep, that asks once a login */
    RETRY_FIRST_MS = 100,
    RETRY_LAST_MS = 5000,
};

void watcher_tell(struct watcher *watcher, enum watcher_state state)
{
    char byte = (char)state;

    if (watcher->lease)
        lease_note(watcher->lease, byte);
    /* A watcher that was killed can't be told; SIGPIPE is ignored. */
    if (watcher->pipe >= 0 && write(watcher->pipe, &byte, 1) < 0)
        close_fd(&watcher->pipe);
}

static void pause_ms(long ms)
{
    struct timespec ts = {ms / 1000, ms % 1000 * 1000000};

    nanosleep(&ts, NULL);
}

/* Removes the session's container; true when it is sure that there is none. A
 * create that was given up `may_come` after a DELETE that found nothing. */
static bool remove_container(struct engine *engine, const struct watcher_task *task,
                             const char *session, bool may_come, long long give_up)
{
    char name[CONTAINER_NAME_SIZE];
    long wait = RETRY_FIRST_MS;
    long long late = 0; /* from the first answer on: an engine that was stopped has all to do yet */

    identity_name(name, task->machine, task->uid, session);
    for (;;) {
        cleanup_error struct error *err = NULL;
        bool found = false;
        bool answered = (http_version(engine_http(engine))[0] != '\0' ||
                         engine_negotiate(engine, &err) == 0) &&
                        container_delete(engine, name, &found, &err) == 0;

        if (answered && (found || !may_come))
            return true;
        if (!answered)
            late = 0;
        else if (late == 0)
            late = now_ms() + LATE_CREATE_MS;
        else if (now_ms() > late)
            return false;
        if (now_ms() > give_up) {
            syslog(LOG_ERR, "session=%s cannot remove container %s: %s", session, name,
                   err ? error_text(err) : "not found");
            return false;
        }
        pause_ms(wait);
        wait = wait * 2 < RETRY_LAST_MS ? wait * 2 : RETRY_LAST_MS;
    }
}

static void end_session(const struct watcher_task *task, bool may_come)
{
    cleanup_error struct error *err = NULL;
    struct engine *engine = engine_new(task->target, &err);

    if (engine &&
        remove_container(engine, task, task->lease->session, may_come, now_ms() + GIVE_UP_MS))
        lease_end(task->lease);
    engine_free(engine);
}

static bool has_news(int pipe)
{
    struct pollfd fd = {.fd = pipe, .events = POLLIN};

    return poll(&fd, 1, 0) != 0;
}

struct sweep {
    const struct watcher_task *task;
    struct engine *engine; /* made when there is something to do */
    int pipe;
};

/* A session whose helper and watcher were both killed. One try: there is always
 * a next login. */
static bool sweep_one(void *data, const struct lease *stale)
{
    struct sweep *s = data;
    char name[CONTAINER_NAME_SIZE];
    cleanup_error struct error *err = NULL;
    bool found = false;
    long long age;
    char state = lease_noted(stale, &age);

    if (!s->engine)
        s->engine = engine_new(s->task->target, &err);
    if (!s->engine)
        return false;
    identity_name(name, s->task->machine, s->task->uid, stale->session);
    if ((http_version(engine_http(s->engine))[0] == '\0' &&
         engine_negotiate(s->engine, &err) < 0) ||
        container_delete(s->engine, name, &found, &err) < 0)
        return false;
    if (found || state != WATCHER_CREATING || age > LATE_CREATE_AGE)
        lease_end(stale);
    return !has_news(s->pipe); /* the own session comes first */
}

static void sweep(const struct watcher_task *task, int pipe)
{
    struct sweep s = {.task = task, .pipe = pipe};

    lease_each_stale(task->lease, sweep_one, &s);
    engine_free(s.engine);
}

static void watch(const struct watcher_task *task, int pipe)
{
    char state = WATCHER_IDLE, byte;
    ssize_t n;

    while ((n = read(pipe, &byte, 1)) != 0) {
        if (n < 0 && errno != EINTR)
            break;
        if (n < 0)
            continue;
        state = byte;
        if (state == WATCHER_RUNNING)
            sweep(task, pipe);
    }
    /* Now a shutdown may end it: what is left, a later login's sweep finds. */
    signal(SIGTERM, SIG_DFL);
    if (state == WATCHER_IDLE)
        lease_end(task->lease);
    else
        end_session(task, state == WATCHER_CREATING);
}

/* Away from the session's terminal, signals and descriptors: sshd waits for
 * whoever holds one of its pipes. */
static void leave_session(void)
{
    sigset_t none;
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);

    setsid();
    for (int fd = 0; fd < 3; fd++)
        if (null < 0 || dup2(null, fd) < 0)
            close(fd);
    if (null > 2)
        close(null);
    signal(SIGHUP, SIG_IGN);
    signal(SIGINT, SIG_IGN);
    signal(SIGTERM, SIG_IGN);
    signal(SIGPIPE, SIG_IGN);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    prctl(PR_SET_NAME, "berth-watcher");
    if (chdir("/") < 0)
        syslog(LOG_WARNING, "watcher: chdir /: %m");
}

int watcher_start(struct watcher *watcher, const struct watcher_task *task, struct error **err)
{
    int ends[2];

    watcher->pipe = -1;
    if (pipe2(ends, O_CLOEXEC) < 0)
        return error_set(err, errno, "watcher: pipe");
    pid_t pid = fork();
    if (pid < 0) {
        close(ends[0]);
        close(ends[1]);
        return error_set(err, errno, "watcher: fork");
    }
    if (pid == 0) {
        close(ends[1]);
        leave_session();
        watch(task, ends[0]);
        _exit(0);
    }
    close(ends[0]);
    watcher->pipe = ends[1];
    watcher->lease = task->lease;
    return 0;
}
