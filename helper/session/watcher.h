/* The process that outlives the helper for a moment: it holds none of the
 * session's descriptors, sees the helper end (however), and then removes the
 * container. So the client has its exit status before the engine's teardown,
 * and a helper killed -9 leaves nothing behind. The watcher of a shared
 * container's creator stays as long as the container does. */
#ifndef BERTH_SESSION_WATCHER_H
#define BERTH_SESSION_WATCHER_H

#include "base/error.h"
#include "engine/container.h"
#include "session/lease.h"

#include <stdbool.h>
#include <sys/types.h>

/* What the helper tells its watcher, one byte each. */
enum watcher_state {
    WATCHER_IDLE = 'i',     /* there is no container, and no create on its way */
    WATCHER_CREATING = 'c', /* one may exist, or come to exist later */
    WATCHER_CREATED = 'C',  /* the engine has answered: what is not there never will be */
    WATCHER_KEPT = 'k',     /* a shared one is written down: its end is the watcher's work */
    WATCHER_STANDBY = 's',  /* it waits for a login: nobody holds its lock */
    WATCHER_REFILL = 'f',   /* time for the task's refill(), which is told before */
    WATCHER_RUNNING = 'r',  /* the session runs: time to sweep */
    WATCHER_LEADER = 'l',   /* and a struct watcher_leader */
    WATCHER_LEAVING = 'e',  /* its end is no sudden one: watcher_leave() */
};

struct watcher {
    int pipe;                  /* write end; its closing is the helper's end */
    const struct lease *lease; /* where the state is noted too, should both be killed */
};

struct record;
struct session;

struct watcher_task {
    const struct http_target *target;
    const struct lease *lease;
    const char *machine;
    uid_t uid;
    bool shared; /* the container outlives this session: the watcher keeps it */
    bool stop;   /* on_idle = stop: its container stays when it has ended */
    /* How many seconds unused, or -1 forever, LINGER_GUEST where its guest counts. */
    long long linger;
    /* The same for one that somebody has stopped, until it is started again; 0 where nothing
     * would start it. */
    long long stopped;
    /* What stood in its lock file before this helper, or NULL: where he makes nothing of it, it
     * stands there again. Only until the watcher is forked. */
    const struct record *before;
    int connection; /* pidfd of the process whose end is the container's, or -1 */
    /* Not the helper's to do: a fork costs it milliseconds that its client waits for. */
    void (*refill)(const struct session *session);
    const struct session *session;
};

/* Of a session by exec in a shared container, whose lock is held: it stays so until
 * the session has been hung up. */
struct watcher_exec {
    const struct watcher_task *container;
    long long grace; /* s, from SIGHUP to SIGKILL */
    bool keep;       /* should the container's keeper be gone, he is the next one */
};

struct watcher_leader {
    pid_t pid;                         /* as the container counts */
    char container[CONTAINER_ID_SIZE]; /* the id: no later one of that name */
};

/* Forks. To be called before libcurl is set up, and with no more memory touched
 * than need be: what the two share costs nothing. */
int watcher_start(struct watcher *watcher, const struct watcher_task *task, struct error **err);
void watcher_tell(struct watcher *watcher, enum watcher_state state);
/* The helper's end, as far as the watcher is concerned. Without it the log is told that the
 * helper was killed. */
void watcher_leave(struct watcher *watcher);

/* For one who has held a shared container by this lease, and is done: where its creator's
 * watcher was killed, does the work of that. */
void watcher_stand_in(const struct watcher *watcher, const struct watcher_task *task,
                      struct lease *lease);

/* The same for one who hangs the session up in the container, which nobody else
 * would: unless he is told WATCHER_IDLE at its end. */
int watcher_start_exec(struct watcher *watcher, const struct watcher_exec *exec,
                       struct error **err);
/* From here on there is something to hang up. */
void watcher_tell_leader(struct watcher *watcher, const struct watcher_leader *leader);

#endif
