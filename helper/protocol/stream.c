#include "config.h"

#include "protocol/stream.h"

#include "base/file.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

/* As many descriptors as one message can bring (unix(7), SCM_MAX_FD): for those
 * that there is no room for the kernel does what close_hostile() must not. */
enum { DESCRIPTORS_MAX = 253 };

/* Room for their control message, aligned for its header. */
union control {
    struct cmsghdr header;
    char bytes[CMSG_SPACE(DESCRIPTORS_MAX * sizeof(int))];
};

static const struct message no_message = {.fds = {-1, -1, -1}};

/* Ours may be the last copy of a socket that is to linger: close(2) would wait for
 * what its other end never takes (socket(7), SO_LINGER). */
static void close_hostile(int fd)
{
    static const struct linger none = {0};

    (void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &none, sizeof none);
    close(fd);
}

void message_clear(struct message *m)
{
    for (unsigned i = 0; i < MESSAGE_FDS_MAX; i++)
        if (m->fds[i] >= 0)
            close_hostile(m->fds[i]);
    free(m->payload);
    *m = no_message;
}

void stream_open(struct stream *s, int fd, enum message_side from)
{
    *s = (struct stream){.fd = fd, .from = from, .partial = no_message};
}

void stream_clear(struct stream *s)
{
    message_clear(&s->partial);
    s->have = 0;
}

/* What the kernel has installed is taken over, `most` of them for the message. */
static bool take_descriptors(struct message *m, unsigned most, struct msghdr *msg)
{
    bool good = !(msg->msg_flags & MSG_CTRUNC);

    for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
            continue;
        size_t count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < count; i++) {
            int fd;
            memcpy(&fd, CMSG_DATA(c) + i * sizeof fd, sizeof fd);
            if (m->nfds < most) {
                m->fds[m->nfds++] = fd;
            } else {
                close_hostile(fd);
                good = false;
            }
        }
    }
    return good;
}

/* Descriptors may come with a message's first byte alone: that one is read by
 * itself. */
static ssize_t receive(struct stream *s, void *at, size_t len, const char **why)
{
    union control control;
    struct iovec piece = {.iov_base = at, .iov_len = s->have == 0 ? 1 : len};
    struct msghdr msg = {.msg_iov = &piece,
                         .msg_iovlen = 1,
                         .msg_control = control.bytes,
                         .msg_controllen = CMSG_LEN(DESCRIPTORS_MAX * sizeof(int))};
    ssize_t n;

    do
        n = recvmsg(s->fd, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    while (n < 0 && errno == EINTR);
    if (n >= 0 && !take_descriptors(&s->partial, s->have == 0 ? MESSAGE_FDS_MAX : 0, &msg))
        *why = "with descriptors that it can't have";
    return n;
}

/* After the header: memory for the payload, and one byte more, so that text in it
 * ends. */
static const char *begin_payload(struct stream *s)
{
    const char *why = message_header_read(&s->header, s->from, s->bytes);

    if (why)
        return why;
    if (s->partial.nfds != s->header.fds)
        return "with a wrong number of descriptors";
    s->partial.type = s->header.type;
    s->partial.len = s->header.length;
    s->partial.payload = malloc((size_t)s->header.length + 1);
    if (!s->partial.payload)
        return "too long for the memory that is left";
    s->partial.payload[s->header.length] = '\0';
    return NULL;
}

static enum stream_result stream_fail(struct stream *s, const char *reason, const char **why)
{
    stream_clear(s);
    s->bad = true;
    *why = reason;
    return STREAM_BAD;
}

static enum stream_result stream_ended(struct stream *s, ssize_t n, const char **why)
{
    if (n < 0 && errno == EAGAIN)
        return STREAM_AGAIN;
    if (n < 0 && errno != ECONNRESET)
        return stream_fail(s, "that can't be read", why);
    return s->have == 0 ? STREAM_END : stream_fail(s, "cut off", why);
}

enum stream_result stream_read(struct stream *s, struct message *m, const char **why)
{
    const char *reason = NULL;

    *m = no_message;
    if (s->bad)
        return stream_fail(s, "after a malformed one", why);
    for (;;) {
        const bool in_header = s->have < MESSAGE_HEADER_SIZE;
        const size_t end = MESSAGE_HEADER_SIZE + (in_header ? 0 : s->header.length);

        if (!in_header && s->have == end)
            break;
        char *at = in_header ? (char *)s->bytes + s->have
                             : s->partial.payload + (s->have - MESSAGE_HEADER_SIZE);
        ssize_t n = receive(s, at, (in_header ? MESSAGE_HEADER_SIZE : end) - s->have, &reason);
        if (reason)
            return stream_fail(s, reason, why);
        if (n <= 0)
            return stream_ended(s, n, why);
        s->have += (size_t)n;
        if (in_header && s->have == MESSAGE_HEADER_SIZE)
            reason = begin_payload(s);
        if (reason)
            return stream_fail(s, reason, why);
    }
    reason = message_check(s->partial.type, s->partial.payload, s->partial.len);
    if (reason)
        return stream_fail(s, reason, why);
    *m = s->partial;
    s->partial = no_message;
    s->have = 0;
    return STREAM_MESSAGE;
}

static int wait_writable(int fd, long long deadline)
{
    struct pollfd slot = {.fd = fd, .events = POLLOUT};
    long long left = deadline - now_ms();

    if (left <= 0) {
        errno = ETIMEDOUT;
        return -1;
    }
    return poll(&slot, 1, (int)left) < 0 && errno != EINTR ? -1 : 0;
}

static void attach_descriptors(struct msghdr *msg, union control *control, const int *fds,
                               unsigned nfds)
{
    memset(control, 0, sizeof *control);
    msg->msg_control = control->bytes;
    msg->msg_controllen = CMSG_SPACE(nfds * sizeof(int));
    struct cmsghdr *c = CMSG_FIRSTHDR(msg);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(nfds * sizeof(int));
    memcpy(CMSG_DATA(c), fds, nfds * sizeof(int));
}

int message_send(int fd, enum message_type type, const void *payload, size_t len, const int *fds,
                 unsigned nfds, int wait_ms)
{
    unsigned char bytes[MESSAGE_HEADER_SIZE];
    const long long deadline = now_ms() + wait_ms;
    size_t sent = 0;

    if (nfds > MESSAGE_FDS_MAX || len > MESSAGE_PAYLOAD_MAX) {
        errno = EMSGSIZE;
        return -1;
    }
    message_header_write(bytes, &(struct message_header){type, nfds, (uint32_t)len});
    while (sent < sizeof bytes + len) {
        union control control;
        const size_t past = sent > sizeof bytes ? sent - sizeof bytes : 0;
        struct iovec pieces[2] = {
            {.iov_base = bytes + (sent - past), .iov_len = sizeof bytes - (sent - past)},
            {.iov_base = (char *)payload + past, .iov_len = len - past},
        };
        struct msghdr msg = {.msg_iov = pieces, .msg_iovlen = len > past ? 2 : 1};

        if (sent == 0 && fds && nfds > 0)
            attach_descriptors(&msg, &control, fds, nfds);
        ssize_t n = sendmsg(fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n >= 0)
            sent += (size_t)n;
        else if (errno != EINTR && (errno != EAGAIN || wait_writable(fd, deadline) < 0))
            return -1;
    }
    return 0;
}
