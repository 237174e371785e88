/* Messages over a unix stream socket: read as they come, in any pieces, never
 * waiting; sent whole, within a time. Every call says MSG_DONTWAIT: the other side
 * could clear O_NONBLOCK of a description that it shares. */
#ifndef BERTH_PROTOCOL_STREAM_H
#define BERTH_PROTOCOL_STREAM_H

#include "protocol/message.h"

#include <stdbool.h>
#include <stddef.h>

/* A message that has come, its payload and descriptors owned by it: NUL-terminated
 * (the NUL is not in `len`), and O_CLOEXEC. */
struct message {
    enum message_type type;
    char *payload;
    size_t len;
    int fds[MESSAGE_FDS_MAX]; /* -1 where there is none */
    unsigned nfds;
};

/* One side's reading. Holds at most one message's header, payload and descriptors;
 * of the payload as much memory as its header, checked, announces. */
struct stream {
    int fd; /* the caller's */
    enum message_side from;
    unsigned char bytes[MESSAGE_HEADER_SIZE];
    struct message_header header;
    size_t have; /* of header and payload together */
    struct message partial;
    bool bad;
};

enum stream_result {
    STREAM_MESSAGE, /* there is one */
    STREAM_AGAIN,   /* not yet: poll for POLLIN */
    STREAM_END,     /* the other side has closed, between two messages */
    STREAM_BAD,     /* malformed, cut, or unreadable: *why, a constant string. Close. */
};

void stream_open(struct stream *s, int fd, enum message_side from);
/* Frees what has come of a message; `fd` stays open. */
void stream_clear(struct stream *s);

/* Reads what is there, to the end of one message. Checked are its header and all
 * of its payload but START's. After STREAM_MESSAGE the caller owns what is in `m`
 * (message_clear() ends it); `m` is empty after all others. */
enum stream_result stream_read(struct stream *s, struct message *m, const char **why);

void message_clear(struct message *m);
#define cleanup_message __attribute__((cleanup(message_clear)))

/* Sends a message with copies of `nfds` descriptors, which stay the caller's. -1
 * with errno, ETIMEDOUT where the other side doesn't take it within `wait_ms`; part
 * of it may have gone then, so that only closing is left. Never SIGPIPE. */
int message_send(int fd, enum message_type type, const void *payload, size_t len, const int *fds,
                 unsigned nfds, int wait_ms);

#endif
