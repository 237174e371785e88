/* The poll loop between the client and the engine's stream. Memory is bounded:
 * what one side doesn't take, the other side isn't asked for. */
#ifndef BERTH_CHANNEL_RELAY_H
#define BERTH_CHANNEL_RELAY_H

#include "channel/attach.h"
#include "channel/client.h"

/* Output waits here for a slow client.
 * While the container runs: RELAY_WINDOW, then it is held back. What stands in
 * the engine's own pipes when a process ends is thrown away about two seconds
 * later, so from the end on everything is taken at full speed, up to
 * RELAY_RESERVE: pipe (1 MiB at most) + shim + FIFO + the engine's 1 MB + socket,
 * for two streams. An engine on another machine doesn't show its processes'
 * end in time: there RELAY_WINDOW_REMOTE may wait from the start. */
enum {
    RELAY_WINDOW = 256 * 1024,
    RELAY_WINDOW_REMOTE = 4 * 1024 * 1024,
    RELAY_RESERVE = 8 * 1024 * 1024,
    RELAY_INPUT = 64 * 1024,
    /* A command that SIGPIPE didn't end may write so much more to a closed stdout. */
    RELAY_UNREAD = 16 * 1024 * 1024,
    /* What has moved this much in one direction is a transfer: its pipe grows,
     * so that fewer wake-ups move more. All pipes of a uid share a limit
     * (pipe(7), pipe-user-pages-soft), so no other session's does. */
    RELAY_BULK = 1024 * 1024,
    RELAY_BULK_PIPE = 256 * 1024,
    /* The engine sends a frame for each write of the command's, often 4 KiB. While
     * more than RELAY_FAST bytes come in RELAY_FAST_NS, they may gather for
     * RELAY_GATHER_NS, less than what fills the socket: sshd then has fewer and
     * larger packets to make. */
    RELAY_FAST = 256 * 1024,
    RELAY_FAST_NS = 4 * 1000 * 1000,
    RELAY_GATHER = 64 * 1024,
    RELAY_GATHER_NS = 200 * 1000,
    RELAY_HEAD = 512,
    RELAY_UNSEEN = -1, /* in place of a count: the bytes don't pass through here */
};

enum relay_end {
    RELAY_EXIT, /* the command ended: status */
    RELAY_GONE, /* the client went away */
    RELAY_OVER, /* the session's time is: client->deadline.over */
};

struct relay_result {
    enum relay_end end;
    int status;                    /* 128+n where a signal ended it */
    int signal;                    /* that signal, where the channel tells, else 0 */
    long long bytes_in, bytes_out; /* payload: from the client, and for its stdout; or UNSEEN */
    long long bytes_err;           /* for its stderr */
    char head[RELAY_HEAD + 1];     /* the output's first bytes, for a diagnosis */
    size_t head_len;
};

/* Runs until one of the ends above. An error means that the engine was lost or
 * sent what is no stream; all that came before it has reached the client. */
int relay_run(struct client *client, struct attach *attach, struct relay_result *result,
              struct error **err);

#endif
