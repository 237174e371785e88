/* The attach channel: a session's bytes go through the engine. Works with any
 * engine, also one on another machine. */
#ifndef BERTH_CHANNEL_ATTACH_H
#define BERTH_CHANNEL_ATTACH_H

#include "base/error.h"
#include "channel/client.h"
#include "engine/container.h"

#include <sys/types.h>

/* Everything the relay needs of a container that is starting or running. */
struct attach {
    struct engine *engine;
    const char *name; /* the container's; borrowed */
    bool tty;         /* no frames: one raw stream */
    bool local;       /* the engine's processes are this machine's */
    struct hijack *stream;
    struct http_call *wait;    /* done when the container has ended */
    struct http_call *inspect; /* for State.Pid; NULL when that is known */
    struct http_call *control; /* a resize or kill on its way, or NULL */
    int init;                  /* pidfd of the container's first process, -1 unknown */
    bool init_known;           /* it is that: behind a socket that leads to another
                                * machine the pid would be a stranger's */
    bool died;                 /* the pidfd says so */
    bool ended;                /* it has ended */
    bool drain;                /* it has, or nobody will tell in time when it does */
};

/* Attaches to a created container, registers for its exit and starts it.
 * Zeroed and filled here; attach_close frees all of it in any state. */
int attach_start(struct attach *attach, struct engine *engine, const char *name, bool tty,
                 bool local, struct error **err);
void attach_close(struct attach *attach);

/* After every http_poll_dispatch: takes what has come of inspect and control. */
void attach_advance(struct attach *attach);

/* The pidfd has fired. */
void attach_died(struct attach *attach);
/* Whether the kernel tells how the container's first process ended, as its exit
 * status or 128+n. It does so before the engine's wait: 20 ms sooner. */
bool attach_exited(const struct attach *attach, int *status);

/* Passes a signal on, or the window's size. False: a call is on its way, ask
 * again when attach_advance has taken it. */
bool attach_kill(struct attach *attach, int signal);
bool attach_resize(struct attach *attach, const struct winsize *size);

#endif
