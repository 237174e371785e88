#include "config.h"

#include "session/watcher.h"

#include "base/file.h"
#include "session/background.h"
#include "session/keeper.h"
#include "session/owner.h"
#include "session/record.h"
#include "session/sweep.h"
#include "session/teardown.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <syslog.h>
#include <unistd.h>

void watcher_tell(struct watcher *watcher, enum watcher_state state)
{
    char byte = (char)state;

    if (watcher->lease)
        lease_note(watcher->lease, byte);
    /* A watcher that was killed can't be told; SIGPIPE is ignored. */
    if (watcher->pipe >= 0 && write(watcher->pipe, &byte, 1) < 0)
        close_fd(&watcher->pipe);
}

void watcher_leave(struct watcher *watcher)
{
    const char byte = WATCHER_LEAVING;

    if (watcher->pipe >= 0)
        (void)!write(watcher->pipe, &byte, 1);
    close_fd(&watcher->pipe);
}

/* The own session comes first. */
static bool no_news(void *data)
{
    const int *pipe = data;
    struct pollfd fd = {.fd = *pipe, .events = POLLIN};

    return poll(&fd, 1, 0) == 0;
}

static void sweep(const struct watcher_task *task, int pipe)
{
    struct sweep s = {.target = task->target,
                      .machine = task->machine,
                      .uid = task->uid,
                      .go_on = no_news,
                      .data = &pipe};

    sweep_run(&s, task->lease);
    engine_free(s.engine);
}

static bool next_byte(int pipe, char *byte)
{
    ssize_t n;

    do
        n = read(pipe, byte, 1);
    while (n < 0 && errno == EINTR);
    return n > 0;
}

/* What the helper tells, until it has no more to tell; false when it is gone. Of one that was
 * killed the log has no other line. */
static bool next_state(const struct lease *lease, int pipe, char *state)
{
    char byte;

    if (!next_byte(pipe, &byte)) {
        syslog(LOG_WARNING, "session=%s its helper was killed", lease->session);
        return false;
    }
    if (byte == WATCHER_LEAVING)
        return false;
    *state = byte;
    return true;
}

static void watch(const struct watcher_task *task, int pipe)
{
    char state = WATCHER_IDLE;

    while (next_state(task->lease, pipe, &state)) {
        if (state == WATCHER_REFILL && task->refill)
            task->refill(task->session);
        if (state == WATCHER_RUNNING)
            sweep(task, pipe);
    }
    /* Now a shutdown may end it: what is left, a later login's sweep finds. */
    signal(SIGTERM, SIG_DFL);
    if (state == WATCHER_STANDBY)
        return; /* it waits for a login now, and whoever claims it has it watched */
    if (state == WATCHER_IDLE)
        lease_end(task->lease);
    else
        keeper_end(task, state == WATCHER_CREATING);
}

/* As it was made, whatever the policy says now. */
static void keep_as_made(const struct watcher_task *task, struct lease *lease,
                         const struct record *record)
{
    struct watcher_task made = *task;

    made.stop = record->keep;
    made.linger = record->linger;
    if (task->connection < 0 && record->linger != LINGER_GUEST)
        made.stopped = record->linger;
    keeper_run(&made, lease, record);
}

/* With the lock held alone: whether the container that was there before a login broke off is
 * there as before, or was only started again, and waits for the next one. */
static bool goes_on(const struct watcher_task *task, bool asked, const struct record *before)
{
    const struct owner owner = {task->machine, task->uid, task->lease->session};
    cleanup_error struct error *err = NULL;

    /* One that is kept is ended like any other of these: its files stay. */
    if (!before->id[0] || (asked && before->keep))
        return false;
    return (!asked || teardown_spare(task->target, &owner, before->id, before->pid)) &&
           record_write(before, task->lease->lock, &err) == 0;
}

/* As watch(), for the creator of a shared container. */
static void watch_shared(const struct watcher_task *task, int pipe)
{
    struct lease lease = *task->lease;
    struct watcher_task mine = *task;
    struct record record, before = task->before ? *task->before : (struct record){0};
    char state = WATCHER_IDLE;
    bool made = false; /* the container is of our helper's making */

    mine.lease = &lease;
    lease.make = false;
    /* The helper's lock is the helper's: its end lets it go. */
    lease_unlock(&lease);
    while (next_state(&lease, pipe, &state)) {
        made = made || state == WATCHER_CREATING;
        if (state == WATCHER_RUNNING) {
            sweep(&mine, pipe);
            break;
        }
    }
    if (record_peek(&record, &lease)) {
        if (made)
            keep_as_made(task, &lease, &record);
        return;
    }
    /* The helper died over it. */
    if (!lease_is_there(&lease) || !keeper_lock(&lease, NULL))
        return;
    /* What a later one left says more. */
    if (record_former(&record, lease.lock))
        before = record;
    if (goes_on(&mine, made, &before)) {
        lease_unlock(&lease);
        keep_as_made(task, &lease, &before);
    } else if (made)
        keeper_end(&mine, state == WATCHER_CREATING);
    else
        lease_end(&lease);
}

/* Its end of the pipe is open as long as it lives. Of one that somebody else started
 * nothing is known. */
static bool is_there(const struct watcher *watcher)
{
    struct pollfd fd = {.fd = watcher->pipe};

    return watcher->pipe >= 0 && poll(&fd, 1, 0) == 0;
}

void watcher_stand_in(const struct watcher *watcher, const struct watcher_task *task,
                      struct lease *lease)
{
    struct record record;

    if (is_there(watcher) || !record_peek(&record, lease))
        return;
    lease->make = false;
    keep_as_made(task, lease, &record);
}

/* fork(2): in the child *in is the pipe's reading end. */
static pid_t fork_watcher(struct watcher *watcher, int *in, struct error **err)
{
    int ends[2];

    *in = -1;
    watcher->pipe = -1;
    if (pipe2(ends, O_CLOEXEC) < 0)
        return error_set(err, errno, "watcher: pipe");
    pid_t pid = fork();
    if (pid == 0) {
        close(ends[1]);
        background_leave("berth-watcher");
        *in = ends[0];
        return 0;
    }
    close(ends[0]);
    watcher->pipe = ends[1];
    if (pid < 0) {
        error_set(err, errno, "watcher: fork");
        close_fd(&watcher->pipe);
    }
    return pid;
}

int watcher_start(struct watcher *watcher, const struct watcher_task *task, struct error **err)
{
    int in;
    pid_t pid = fork_watcher(watcher, &in, err);

    if (pid == 0) {
        if (task->shared)
            watch_shared(task, in);
        else
            watch(task, in);
        _exit(0);
    }
    watcher->lease = task->lease;
    return pid < 0 ? -1 : 0;
}

void watcher_tell_leader(struct watcher *watcher, const struct watcher_leader *leader)
{
    /* In one piece: shorter than PIPE_BUF (pipe(7)). */
    char message[1 + sizeof *leader] = {WATCHER_LEADER};

    memcpy(message + 1, leader, sizeof *leader);
    if (write(watcher->pipe, message, sizeof message) < 0)
        close_fd(&watcher->pipe);
}

/* What is to be hung up when the helper is gone; pid 0: nothing. False where
 * nothing ever ran. */
static bool await_helper(int pipe, struct watcher_leader *leader)
{
    bool ran = false;
    char state;

    *leader = (struct watcher_leader){0};
    while (next_byte(pipe, &state)) {
        ran = ran || state == WATCHER_LEADER;
        if (state != WATCHER_LEADER ||
            read(pipe, leader, sizeof *leader) != (ssize_t)sizeof *leader)
            leader->pid = 0;
    }
    return ran;
}

static void watch_exec(const struct watcher_exec *exec, int pipe)
{
    struct lease lease = *exec->container->lease;
    struct watcher_leader leader;
    struct record record;
    bool ran = await_helper(pipe, &leader);

    lease.make = false;
    signal(SIGTERM, SIG_DFL);
    if (leader.pid != 0)
        teardown_hang_up(exec->container->target, leader.container, leader.pid, exec->grace);
    lease_unlock(&lease);
    if (ran && exec->keep && record_peek(&record, &lease))
        keep_as_made(exec->container, &lease, &record);
}

int watcher_start_exec(struct watcher *watcher, const struct watcher_exec *exec, struct error **err)
{
    int in;
    pid_t pid = fork_watcher(watcher, &in, err);

    if (pid == 0) {
        watch_exec(exec, in);
        _exit(0);
    }
    watcher->lease = NULL;
    return pid < 0 ? -1 : 0;
}
