/* The direct channel: the guest in the container runs the session. Without a
 * terminal sshd's own three pipe ends are handed over, and no byte passes
 * through here; with one, the PTY is the container's and its master comes back
 * to be relayed (pty.h). */
#ifndef BERTH_CHANNEL_DIRECT_H
#define BERTH_CHANNEL_DIRECT_H

#include "base/error.h"
#include "base/text.h"
#include "channel/client.h"
#include "channel/relay.h"
#include "channel/tap.h"
#include "protocol/stream.h"

#include <fcntl.h>
#include <stdbool.h>
#include <sys/types.h>

/* How stderr's way back is opened. */
#define DIRECT_BACK_FLAGS (O_WRONLY | O_NONBLOCK | O_CLOEXEC)

struct direct {
    int control; /* the connection to the guest: its end is the session's */
    struct stream stream;
    bool sent;    /* START was */
    int master;   /* the terminal's, -1 without one */
    bool seen;    /* the bytes are to pass through here (splice.h) */
    int pipes[3]; /* our ends of the command's streams, where seen; else -1 */
    int null;     /* /dev/null, where seen; else -1 */
    int watch;    /* epoll: sshd's ends of the three pipes; -1 with a terminal, or where seen */
    int watched;  /* what /proc says of `watch`; -1 without */
    long long closed[3]; /* now_ms() when it told so, 0: not yet */
    long long doubt; /* now_ms() at which the client is gone, if nothing comes; 0: it is there */
    int parent;      /* pidfd of sshd's process (or its shell), -1 unknown */
    int way_back;    /* to the pipe that stderr is (O_PATH), -1 where it stays ours */
    struct tap *tap; /* where the command's stderr goes in place of sshd's; NULL: nowhere */
};

/* Nothing is open. */
void direct_init(struct direct *direct, bool seen);

/* Connects to the guest listening in `folder`, which is process `pid`, and has it
 * start what `payload` (protocol/start.h) says. From then on descriptors 0, 1
 * and 2 are /dev/null, but with a terminal or where the bytes are seen; 2 not with a
 * tap.
 * ERROR_LOST: there is no guest, or it went away before it said that it started
 * anything. ERROR_SLOW: it has said nothing for `wait_ms`, and direct_await() goes
 * on with that. */
int direct_start(struct direct *direct, int folder, pid_t pid, const struct text *payload,
                 int wait_ms, struct client *client, struct error **err);

int direct_await(struct direct *direct, const struct text *payload, int wait_ms,
                 struct client *client, struct error **err);

/* Runs until the command ends, the client goes away or client->deadline is over. An
 * error: the container was lost. Where the session is ended by other than the command and the
 * client, descriptor 2 is stderr again, if it was handed over and somebody has it still. */
int direct_run(struct direct *direct, struct client *client, struct relay_result *result,
               struct error **err);

/* Hangs the session up, where it hasn't ended. */
void direct_close(struct direct *direct);

/* For both ways of running: passes the client's signals on, reads what the guest
 * says. True when the command has ended, in *result. */
int direct_control(struct direct *direct, struct client *client, struct relay_result *result,
                   bool *ended, struct error **err);

#endif
