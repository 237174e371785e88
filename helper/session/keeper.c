#include "config.h"

#include "session/keeper.h"

#include "base/file.h"
#include "base/process.h"
#include "session/owner.h"
#include "session/teardown.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    RETRY_MS = 100,
    MARK_MS = 10,
    /* For a lock that is just going. */
    AGAIN_LAST_MS = 1000,
    /* Whether a stopped one is there still; an engine that doesn't know, or is away, is asked
     * again less and less often, down to that. */
    LOOK_MS = 60000,
};

/* What is kept. */
struct kept {
    struct watcher_task task; /* `linger` as its record has it */
    struct lease *lease;
    struct record record;
    int process;    /* pidfd of its first process; -1: it has ended, or can't be seen from here */
    bool over;      /* what is left of it is to be removed */
    long long look; /* it has ended: when its engine is asked after it, now_ms(); else 0 */
    long long retry;
};

/* Started again it keeps its id. */
static bool is_same(const struct record *a, const struct record *b)
{
    return strcmp(a->id, b->id) == 0 && a->pid == b->pid;
}

void keeper_end(const struct watcher_task *task, bool may_come)
{
    const struct owner owner = {task->machine, task->uid, task->lease->session};

    if (teardown_remove(task->target, &owner, may_come))
        lease_end(task->lease);
}

static void drain(int fd)
{
    char events[1024];

    while (read(fd, events, sizeof events) > 0)
        ;
}

bool keeper_lock(struct lease *lease, const struct record *mine)
{
    struct record now;

    for (;;) {
        cleanup_error struct error *err = NULL;
        int got = lease_try(lease, true, &err);
        if (got < 0)
            return false;
        if (got > 0) {
            bool known = record_read(&now, lease->lock) ||
                         (mine && record_former(&now, lease->lock));
            return mine ? known && is_same(&now, mine) : !known;
        }
        /* A reader's look needs no lock. */
        if (record_peek(&now, lease) && (!mine || !is_same(&now, mine)))
            return false;
        pause_ms(RETRY_MS);
    }
}

/* Whether the next login would start it again, if somebody has stopped it. */
static bool may_wait(const struct watcher_task *task)
{
    return !task->stop && task->stopped != 0 && !process_has_ended(task->connection);
}

static void note_end(struct kept *k)
{
    close_fd(&k->process);
    k->look = now_ms();
    k->retry = RETRY_MS;
}

/* Its process, where it can be seen: the engine may be on another machine. */
static void see(struct kept *k)
{
    enum process_place place;

    close_fd(&k->process);
    k->process = process_open(k->record.pid, k->record.id, &place);
    /* A guest is never on another machine, and /proc may hide it. */
    if (place == PROCESS_THERE || k->task.linger == LINGER_GUEST)
        return;
    if (place == PROCESS_ELSEWHERE && k->task.target->socket)
        note_end(k);
    close_fd(&k->process);
}

/* Somebody has started it again or made another, and it is kept as he wrote down: his watcher
 * has found that there is a keeper. False where that is done by its guest, or for a connection,
 * and so by his own watcher. */
static bool take_up(struct kept *k, const struct record *now)
{
    if (now->linger == LINGER_GUEST || k->task.connection >= 0)
        return false;
    k->record = *now;
    k->task.linger = k->task.stopped = now->linger;
    k->task.stop = now->keep;
    k->over = false;
    k->look = 0;
    see(k);
    return true;
}

/* `alone`: with the lock. Else somebody may just be making one, of whom nothing is written; or
 * has broken off, and what he retired is there still. */
static bool is_mine(struct kept *k, bool alone, struct stat *st)
{
    struct record now;

    if (fstat(k->lease->lock, st) < 0 || st->st_nlink == 0)
        return false;
    if (!record_read(&now, k->lease->lock))
        return !alone || (record_former(&now, k->lease->lock) && is_same(&now, &k->record));
    return is_same(&now, &k->record) || take_up(k, &now);
}

static void look(struct kept *k)
{
    const struct owner owner = {k->task.machine, k->task.uid, k->lease->session};
    int stopped;

    if (process_has_ended(k->task.connection))
        k->over = true;
    if (process_has_ended(k->process))
        note_end(k);
    if (k->over || k->look == 0 || now_ms() < k->look)
        return;
    stopped = may_wait(&k->task) ? teardown_was_stopped(k->task.target, &owner, k->record.pid) : 0;
    k->over = stopped == 0;
    k->look = now_ms() + (stopped < 0 ? k->retry : LOOK_MS);
    k->retry = k->retry * 2 < LOOK_MS ? k->retry * 2 : LOOK_MS;
}

/* For poll(2): until `until`, or -1, or the next look. */
static int wait_time(const struct kept *k, long long until)
{
    if (k->look != 0 && !k->over && (until < 0 || k->look < until))
        until = k->look;
    if (until < 0)
        return -1;
    until -= now_ms();
    return until < 0 ? 0 : until < INT_MAX ? (int)until : INT_MAX;
}

/* As keeper_lock, but when the container has been unused for its linger time: that
 * time begins anew with each use, which the file's time tells of. False also where
 * somebody else does this. Each user's closing of the file is an event, and what he
 * writes; our own closing must not be one, so it is opened once, by lease_keep. */
static bool lock_unused(struct kept *k)
{
    const int lock = k->lease->lock;
    char path[64];
    struct stat st;
    struct timespec used = {0};
    long long since = -1;
    long again = RETRY_MS;
    cleanup_fd int notify = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);

    snprintf(path, sizeof path, "/proc/self/fd/%d", lock);
    if (notify < 0 || inotify_add_watch(notify, path, IN_MODIFY | IN_CLOSE_WRITE | IN_ATTRIB) < 0)
        return false;
    for (;; drain(notify)) {
        long long until = -1;
        /* The engine takes its time: what others did meanwhile is seen with the lock. */
        look(k);
        const bool alone = flock(lock, LOCK_EX | LOCK_NB) == 0;
        if (!is_mine(k, alone, &st))
            return false;
        if (!alone) {
            since = -1;
            /* Its end is told again and again: whoever has the lock still is to let it go.
             * Else the kernel tells of a closing before it takes the lock away. */
            if (k->over)
                again = RETRY_MS;
            if (again <= AGAIN_LAST_MS) {
                until = now_ms() + again;
                again *= 2;
            }
        } else {
            if (since < 0 || memcmp(&used, &st.st_mtim, sizeof used) != 0)
                since = now_ms();
            used = st.st_mtim;
            if (k->task.linger >= 0)
                until = since + k->task.linger * 1000;
            if (k->over || (until >= 0 && until <= now_ms()))
                return true;
            flock(lock, LOCK_UN);
        }
        struct pollfd fds[3] = {{.fd = notify, .events = POLLIN},
                                {.fd = k->process, .events = POLLIN},
                                {.fd = k->over ? -1 : k->task.connection, .events = POLLIN}};
        if (poll(fds, 3, wait_time(k, until)) > 0)
            again = RETRY_MS;
    }
}

/* Until the container has ended, or its connection has. */
static void await_end(const struct kept *k)
{
    struct pollfd fds[2] = {{.fd = k->process, .events = POLLIN},
                            {.fd = k->task.connection, .events = POLLIN}};

    while (k->look == 0 &&
           (k->process >= 0 || (k->task.connection >= 0 && k->task.linger != LINGER_GUEST)) &&
           poll(fds, 2, -1) < 0 && errno == EINTR)
        ;
}

static void lock_for_use(struct lease *lease)
{
    cleanup_error struct error *err = NULL;

    while (lease_try(lease, false, &err) == 0)
        pause_ms(RETRY_MS);
}

/* Without the lock, which the one who has the mark may want: waits for it. False where somebody
 * else is to keep it, for he has written so, or has started it again. Who kept it before isn't
 * gone yet while his engine answers him. */
static bool await_mark(const struct kept *k)
{
    struct record now;

    while (!lease_keep(k->lease)) {
        if (k->lease->lock < 0)
            return false;
        if (record_peek(&now, k->lease) &&
            (!is_same(&now, &k->record) || now.linger != k->record.linger ||
             now.linger == k->task.stopped))
            return false;
        pause_ms(MARK_MS);
    }
    return true;
}

/* Before the engine is asked, which may be away for long: is known as its keeper, and writes
 * down that it may wait, since a sweep takes it for a dead one's else. A connection's lock
 * is held until then. */
static bool lock_stopped(struct kept *k)
{
    struct lease held = *k->lease, alone = held;
    cleanup_error struct error *err = NULL;

    k->lease->lock = alone.lock = -1;
    const bool kept = lease_keep(k->lease);
    lease_unlock(&held);
    bool mine = (kept || await_mark(k)) && keeper_lock(&alone, &k->record);
    if (mine) {
        k->task.linger = k->record.linger = k->task.stopped;
        mine = record_write(&k->record, alone.lock, &err) == 0;
    }
    /* The mark first: whoever gets the lock then finds it free. */
    if (!mine)
        lease_unlock(k->lease);
    lease_unlock(&alone);
    if (!mine)
        return false; /* a sweep's */
    note_end(k);
    return lock_unused(k);
}

/* With the lock as a connection's, whose sessions or not are a use of the container, or none:
 * its guest sees to how long it stays. */
static bool lock_ended(struct kept *k)
{
    if (k->task.connection >= 0)
        lock_for_use(k->lease);
    await_end(k);
    return may_wait(&k->task) ? lock_stopped(k) : keeper_lock(k->lease, &k->record);
}

void keeper_run(const struct watcher_task *task, struct lease *lease, const struct record *record)
{
    struct kept k = {.task = *task, .lease = lease, .record = *record, .process = -1};
    const bool by_lock = task->connection < 0 && task->linger != LINGER_GUEST;

    k.task.lease = lease;
    signal(SIGTERM, SIG_DFL);
    see(&k);
    bool mine = by_lock ? lease_keep(lease) && lock_unused(&k) : lock_ended(&k);
    close_fd(&k.process);
    if (!mine)
        return;
    if (!k.task.stop)
        keeper_end(&k.task, false);
    else if (k.task.linger == LINGER_GUEST ||
             teardown_stop(k.task.target, k.record.id, lease->session))
        lease_end(lease);
}
