#include "config.h"

#include "channel/forward.h"

#include "base/file.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

enum { INSIDE, OUTSIDE }; /* the container's end, sshd's */

enum { ACCEPT_AGAIN_MS = 100 };

/* One direction. */
struct half {
    char data[FORWARD_BUFFER];
    size_t start, len;
    bool ended; /* nothing more comes */
    bool told;  /* and the other end knows */
};

struct link {
    size_t listener;
    int fds[2];            /* OUTSIDE's is -1 until INSIDE has said something */
    struct half halves[2]; /* from the end of this number to the other */
};

enum slot { SLOT_BROKER, SLOT_LISTENERS, SLOT_LINKS = SLOT_LISTENERS + FORWARD_LISTENERS_MAX };

struct forward {
    const int *listeners;
    size_t listener_count;
    int broker;
    struct link *links[FORWARD_MAX];
    size_t count;
    bool wait; /* there was no descriptor left to accept with */
    struct pollfd fds[SLOT_LINKS + 2 * FORWARD_MAX];
};

/* Room for one descriptor in a control message. */
union one_fd {
    char bytes[CMSG_SPACE(sizeof(int))];
    struct cmsghdr aligned;
};

static int take_answer(int broker)
{
    union one_fd control;
    char byte;
    struct iovec data = {&byte, 1};
    struct msghdr message = {.msg_iov = &data,
                             .msg_iovlen = 1,
                             .msg_control = control.bytes,
                             .msg_controllen = sizeof control.bytes};
    ssize_t n;
    int fd = -1;

    do
        n = recvmsg(broker, &message, MSG_CMSG_CLOEXEC);
    while (n < 0 && errno == EINTR);
    const struct cmsghdr *header = n == 1 ? CMSG_FIRSTHDR(&message) : NULL;
    if (header && header->cmsg_level == SOL_SOCKET && header->cmsg_type == SCM_RIGHTS &&
        header->cmsg_len == CMSG_LEN(sizeof fd))
        memcpy(&fd, CMSG_DATA(header), sizeof fd);
    return fd;
}

static int ask(int broker, size_t listener)
{
    char byte = (char)listener;

    return send(broker, &byte, 1, MSG_NOSIGNAL) == 1 ? take_answer(broker) : -1;
}

bool forward_asked(int broker, size_t *listener)
{
    unsigned char byte;
    ssize_t n;

    do
        n = read(broker, &byte, 1);
    while (n < 0 && errno == EINTR);
    *listener = byte;
    return n == 1;
}

void forward_answer(int broker, int fd)
{
    union one_fd control = {{0}};
    char byte = 0;
    struct iovec data = {&byte, 1};
    struct msghdr message = {.msg_iov = &data, .msg_iovlen = 1};

    if (fd >= 0) {
        message.msg_control = control.bytes;
        message.msg_controllen = sizeof control.bytes;
        struct cmsghdr *header = CMSG_FIRSTHDR(&message);
        header->cmsg_level = SOL_SOCKET;
        header->cmsg_type = SCM_RIGHTS;
        header->cmsg_len = CMSG_LEN(sizeof fd);
        memcpy(CMSG_DATA(header), &fd, sizeof fd);
    }
    if (sendmsg(broker, &message, MSG_NOSIGNAL) == 1 || fd < 0)
        return;
    /* Too many descriptors are in flight (unix(7)): it must not wait for this one. */
    message.msg_control = NULL;
    message.msg_controllen = 0;
    (void)sendmsg(broker, &message, MSG_NOSIGNAL);
}

static bool would_block(void)
{
    return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR;
}

/* 0, or -1: the connection is broken. */
static int fill(struct half *half, int from)
{
    if (half->ended || half->len > 0)
        return 0;
    ssize_t n = read(from, half->data, sizeof half->data);
    if (n < 0)
        return would_block() ? 0 : -1;
    half->ended = n == 0;
    half->start = 0;
    half->len = (size_t)n;
    return 0;
}

static int drain(struct half *half, int to)
{
    while (half->len > 0) {
        ssize_t n = send(to, half->data + half->start, half->len, MSG_NOSIGNAL);
        if (n < 0)
            return would_block() ? 0 : -1;
        half->start += (size_t)n;
        half->len -= (size_t)n;
    }
    if (half->ended && !half->told) {
        shutdown(to, SHUT_WR);
        half->told = true;
    }
    return 0;
}

/* What there is to be moved; -1 when the connection is over. */
static int move(const struct forward *f, struct link *link)
{
    if (fill(&link->halves[INSIDE], link->fds[INSIDE]) < 0)
        return -1;
    if (link->fds[OUTSIDE] < 0) {
        if (link->halves[INSIDE].len == 0)
            return link->halves[INSIDE].ended ? -1 : 0;
        link->fds[OUTSIDE] = ask(f->broker, link->listener);
        if (link->fds[OUTSIDE] < 0)
            return -1;
    }
    if (fill(&link->halves[OUTSIDE], link->fds[OUTSIDE]) < 0 ||
        drain(&link->halves[INSIDE], link->fds[OUTSIDE]) < 0 ||
        drain(&link->halves[OUTSIDE], link->fds[INSIDE]) < 0)
        return -1;
    return link->halves[INSIDE].told && link->halves[OUTSIDE].told ? -1 : 0;
}

/* An end from which nothing is awaited isn't asked: its hang-up would keep poll(2)
 * awake. */
static void arm(const struct link *link, int end, struct pollfd *slot)
{
    const struct half *in = &link->halves[end], *out = &link->halves[!end];

    slot->events = (short)((!in->ended && in->len == 0 ? POLLIN : 0) |
                           (out->len > 0 ? POLLOUT : 0));
    slot->fd = slot->events ? link->fds[end] : -1;
}

static void add(struct forward *f, int fd, size_t listener)
{
    struct link *link = malloc(sizeof *link);

    if (!link) {
        close(fd);
        return;
    }
    link->listener = listener;
    link->fds[INSIDE] = fd;
    link->fds[OUTSIDE] = -1;
    for (int end = 0; end < 2; end++) {
        link->halves[end].start = link->halves[end].len = 0;
        link->halves[end].ended = link->halves[end].told = false;
    }
    f->links[f->count++] = link;
}

static void drop(struct forward *f, size_t i)
{
    for (int end = 0; end < 2; end++)
        close_fd(&f->links[i]->fds[end]);
    free(f->links[i]);
    f->links[i] = f->links[--f->count];
}

static void take_in(struct forward *f)
{
    for (size_t i = 0; i < f->listener_count; i++) {
        if (!f->fds[SLOT_LISTENERS + i].revents || f->count == FORWARD_MAX)
            continue;
        int fd = accept4(f->listeners[i], NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0)
            add(f, fd, i);
        else
            f->wait = !would_block() && errno != ECONNABORTED;
    }
}

static int await(struct forward *f)
{
    bool room = f->count < FORWARD_MAX && !f->wait;
    int timeout = f->wait ? ACCEPT_AGAIN_MS : -1;

    f->fds[SLOT_BROKER] = (struct pollfd){.fd = f->broker};
    for (size_t i = 0; i < FORWARD_LISTENERS_MAX; i++)
        f->fds[SLOT_LISTENERS + i] = (struct pollfd){
            .fd = i < f->listener_count && room ? f->listeners[i] : -1, .events = POLLIN};
    for (size_t i = 0; i < f->count; i++)
        for (int end = 0; end < 2; end++)
            arm(f->links[i], end, &f->fds[SLOT_LINKS + 2 * i + (size_t)end]);
    f->wait = false;
    return poll(f->fds, SLOT_LINKS + 2 * f->count, timeout);
}

void forward_run(const int *listeners, size_t count, int broker)
{
    struct forward f = {.listeners = listeners, .listener_count = count, .broker = broker};

    for (;;) {
        if (await(&f) < 0) {
            if (errno != EINTR)
                return;
            continue;
        }
        if (f.fds[SLOT_BROKER].revents)
            break;
        /* Backwards: the last one takes a dropped one's place. */
        for (size_t i = f.count; i-- > 0;) {
            const struct pollfd *slots = &f.fds[SLOT_LINKS + 2 * i];
            if ((slots[INSIDE].revents || slots[OUTSIDE].revents) && move(&f, f.links[i]) < 0)
                drop(&f, i);
        }
        take_in(&f);
    }
    while (f.count > 0)
        drop(&f, f.count - 1);
}
