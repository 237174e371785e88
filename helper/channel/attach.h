/* The attach channel: a session's bytes go through the engine. Works with any
 * engine, also one on another machine. The command is the container's first
 * process, or an exec's in a container that runs. */
#ifndef BERTH_CHANNEL_ATTACH_H
#define BERTH_CHANNEL_ATTACH_H

#include "base/error.h"
#include "channel/client.h"
#include "channel/tap.h"
#include "engine/container.h"
#include "engine/exec.h"

#include <sys/types.h>

/* Everything the relay needs of a command that is starting or running. */
struct attach {
    struct engine *engine;
    const char *name;        /* the container's; borrowed */
    char exec[EXEC_ID_SIZE]; /* the exec's id; "": it is the container's first process */
    bool tty;                /* no frames: one raw stream */
    bool local;              /* the engine's processes are this machine's */
    struct hijack *stream;
    struct http_call *wait;    /* done when the command has ended; an exec's is asked for then */
    struct http_call *inspect; /* for its pid; NULL when that is known */
    struct http_call *control; /* a resize or kill on its way, or NULL */
    bool control_made;         /* it makes an exec that is to be started then */
    int init;                  /* pidfd of the command's process, -1 unknown */
    bool init_known;           /* it is that: behind a socket that leads to another
                                * machine the pid would be a stranger's */
    bool died;                 /* the pidfd says so */
    bool ended;                /* it has ended */
    bool drain;                /* it has, or nobody will tell in time when it does */
    pid_t leader;              /* an exec's process and session, as the container counts */
    long long ask_at;          /* now_ms(): when an exec's state is to be asked for; 0: not now */
    long ask_wait;             /* ms, till the next time */
    struct tap *tap;           /* where the command's stderr goes in place of sshd's, or NULL */
};

/* Attaches to a created container, registers for its exit and starts it.
 * Zeroed and filled here; attach_close frees all of it in any state. */
int attach_start(struct attach *attach, struct engine *engine, const char *name, bool tty,
                 bool local, struct error **err);

/* The same for a command in a running container, which must have a /bin/sh: it
 * tells its pid first (attach->leader) and runs nothing before attach_exec_go. The
 * engine knows no way to signal an exec, and lets it run on when its client goes:
 * by then somebody must know whom to end. Waits watch the client. ERROR_NOT_FOUND
 * and ERROR_CONFLICT as exec_create. */
int attach_exec(struct attach *attach, struct engine *engine, const char *name,
                const struct exec_command *command, bool local, struct client *client,
                struct error **err);
/* Lets it run, in a window of the client's size. */
int attach_exec_go(struct attach *attach, struct client *client, struct error **err);

void attach_close(struct attach *attach);

/* After every http_poll_dispatch, and when attach_wake_ms is over: takes what has
 * come of inspect and control. */
void attach_advance(struct attach *attach);
/* When attach_advance wants to be called at the latest; -1: no matter. */
int attach_wake_ms(const struct attach *attach);

/* The stream has ended. */
void attach_output_ended(struct attach *attach);
/* The pidfd has fired. */
void attach_died(struct attach *attach);
/* Whether the kernel tells how the command's process ended, as its exit status or
 * 128+n. It does so before the engine's wait: 20 ms sooner. */
bool attach_exited(const struct attach *attach, int *status);
/* Whether the engine has answered that it has ended, or that it can't tell; and
 * what. */
bool attach_answered(const struct attach *attach);
int attach_status(struct attach *attach, int *status, struct error **err);

/* Passes a signal on, or the window's size. False: a call is on its way, ask
 * again when attach_advance has taken it. */
bool attach_kill(struct attach *attach, int signal);
bool attach_resize(struct attach *attach, const struct winsize *size);

#endif
