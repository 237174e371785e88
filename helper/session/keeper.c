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

enum { RETRY_MS = 100 };

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
            bool known = record_read(&now, lease->lock);
            return mine ? known && strcmp(now.id, mine->id) == 0 : !known;
        }
        /* A reader's look needs no lock. */
        if (record_peek(&now, lease) && (!mine || strcmp(now.id, mine->id) != 0))
            return false;
        pause_ms(RETRY_MS);
    }
}

/* As keeper_lock, but when the container has been unused for its linger time: that
 * time begins anew with each use, which the file's time tells of. False also where
 * somebody else does this. Each user's closing of the file is an event; our own
 * must not be one, so it is opened once. */
static bool lock_unused(const struct watcher_task *task, struct lease *lease,
                        const struct record *mine)
{
    char path[64];
    struct record now;
    struct stat st;
    struct timespec used = {0};
    long long since = -1;
    enum process_place place;
    cleanup_fd int process = process_open(mine->pid, mine->id, &place);
    cleanup_fd int notify = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);

    if (!lease_keep(lease))
        return false;
    snprintf(path, sizeof path, "/proc/self/fd/%d", lease->lock);
    if (notify < 0 || inotify_add_watch(notify, path, IN_CLOSE_WRITE | IN_ATTRIB) < 0)
        return false;
    if (place != PROCESS_THERE) /* the engine is on another machine */
        close_fd(&process);
    while (record_read(&now, lease->lock) && strcmp(now.id, mine->id) == 0 &&
           fstat(lease->lock, &st) == 0 && st.st_nlink > 0) {
        struct pollfd fds[2] = {{.fd = notify, .events = POLLIN},
                                {.fd = process, .events = POLLIN}};
        int left = -1;
        bool ended = process >= 0 && poll(&fds[1], 1, 0) > 0;
        if (flock(lease->lock, LOCK_EX | LOCK_NB) < 0) {
            since = -1;
            /* Its end is told again and again: whoever has the lock still is to let it go. */
            if (ended)
                left = RETRY_MS;
        } else {
            if (since < 0 || memcmp(&used, &st.st_mtim, sizeof used) != 0)
                since = now_ms();
            used = st.st_mtim;
            long long until = since + task->linger * 1000 - now_ms();
            if (ended || (task->linger >= 0 && until <= 0))
                return true;
            flock(lease->lock, LOCK_UN);
            if (task->linger >= 0)
                left = until < INT_MAX ? (int)until : INT_MAX;
        }
        (void)poll(fds, ended ? 1 : 2, left);
        drain(notify);
    }
    return false;
}

/* Until the container has ended, or its connection has. */
static void await_end(const struct watcher_task *task, const struct record *record)
{
    enum process_place place;
    cleanup_fd int process = process_open(record->pid, record->id, &place);
    struct pollfd fds[2] = {{.fd = process, .events = POLLIN},
                            {.fd = task->connection, .events = POLLIN}};

    /* On another machine, and only the connection can be seen. */
    if (task->linger != LINGER_GUEST && place != PROCESS_THERE)
        close_fd(&process);
    fds[0].fd = process;
    while ((process >= 0 || (task->connection >= 0 && task->linger != LINGER_GUEST)) &&
           poll(fds, 2, -1) < 0 && errno == EINTR)
        ;
}

static void lock_for_use(struct lease *lease)
{
    cleanup_error struct error *err = NULL;

    while (lease_try(lease, false, &err) == 0)
        pause_ms(RETRY_MS);
}

void keeper_run(const struct watcher_task *task, struct lease *lease, const struct record *record)
{
    struct watcher_task mine = *task;

    mine.lease = lease;
    signal(SIGTERM, SIG_DFL);
    /* An open connection is a use of the container, sessions or not. */
    if (task->connection >= 0)
        lock_for_use(lease);
    if (task->connection < 0 && task->linger != LINGER_GUEST) {
        if (!lock_unused(task, lease, record))
            return;
    } else {
        await_end(task, record);
        if (!keeper_lock(lease, record))
            return;
    }
    if (!task->stop)
        keeper_end(&mine, false);
    else if (task->linger == LINGER_GUEST ||
             teardown_stop(task->target, record->id, lease->session))
        lease_end(lease);
}
