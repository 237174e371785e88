/* How long a session may last, and how long without a byte (max_time and
 * idle_timeout in berth.conf(5)). Each loop that runs a session asks for its
 * poll()'s timeout here and reports the bytes that it moves.
 *
 * The clock is CLOCK_MONOTONIC, poll()'s own: the time that a suspended machine
 * sleeps counts for nobody. By CLOCK_BOOTTIME a lid that was shut would be an idle
 * session, and poll() would oversleep all the same. */
#ifndef BERTH_CHANNEL_DEADLINE_H
#define BERTH_CHANNEL_DEADLINE_H

#include <stdbool.h>

enum {
    /* So long before the end a terminal is told, or half the time where that is
     * less. */
    DEADLINE_WARN_MS = 60 * 1000,
    /* For a client to take what the command had written by the end. */
    DEADLINE_FLUSH_MS = 2000,
};

enum deadline_why { DEADLINE_NOT_YET, DEADLINE_MAX_TIME, DEADLINE_IDLE };

struct deadline_limit {
    long long ms;    /* 0: none */
    long long since; /* now_ms() */
    bool warned;
};

/* Zeroed there is no limit. */
struct deadline {
    struct deadline_limit max_time, idle;
    int terminal; /* where to warn, or -1 */
    bool moved;   /* a byte did, since `idle.since` was set */
    enum deadline_why over;
    long long over_since; /* now_ms() */
};

/* The session begins. Seconds, 0: none. */
void deadline_start(struct deadline *d, long long max_time, long long idle_timeout, int terminal);

/* A byte went from the client to the command or back. */
static inline void deadline_moved(struct deadline *d)
{
    d->moved = true;
}

/* To be called before each poll(): warns, sets `over` when it is time, and tells
 * how long poll() may wait: `timeout_ms` (-1: for ever) or less. The first time
 * that the session is over it says 0: what is there already is moved yet. */
int deadline_turn(struct deadline *d, int timeout_ms);

/* Whether the loop is to end: the session is over, and nothing is `waiting` for the
 * client that it may still take. */
bool deadline_done(const struct deadline *d, bool waiting);

#endif
