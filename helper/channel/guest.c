#include "config.h"

#include "channel/guest.h"

#include "base/file.h"
#include "base/text.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

void guest_address(struct sockaddr_un *at, int folder, const char *name)
{
    *at = (struct sockaddr_un){.sun_family = AF_UNIX};
    snprintf(at->sun_path, sizeof at->sun_path, "/proc/self/fd/%d/%s", folder, name);
}

bool guest_is(int fd, pid_t pid)
{
    struct ucred peer;
    socklen_t len = sizeof peer;

    return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) == 0 && peer.pid == pid;
}

/* Its backlog is full: somebody in there connects and connects. */
enum { CONNECT_AGAIN_MS = 20 };

int guest_connect(int folder, pid_t pid, struct client *client, struct error **err)
{
    long long end = now_ms() + GUEST_ANSWER_MS;
    struct sockaddr_un at;
    cleanup_fd int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return error_set(err, errno, "socket");
    guest_address(&at, folder, GUEST_SOCKET);
    while (connect(fd, (struct sockaddr *)&at, sizeof at) < 0) {
        if (errno == EAGAIN && now_ms() < end) {
            if (client_poll(client, NULL, 0, CONNECT_AGAIN_MS, err) < 0)
                return -1;
            continue;
        }
        if (errno == ECONNREFUSED || errno == ENOENT)
            return error_set_kind(err, ERROR_LOST, "it has no guest: %s", strerror(errno));
        return error_set(err, errno, "cannot connect to its guest");
    }
    if (!guest_is(fd, pid))
        return error_set(err, 0, "the one who listens for logins in it is not its guest");
    return release_fd(&fd);
}

int guest_send(int fd, enum message_type type, const void *payload, size_t len, const int *fds,
               unsigned nfds, struct error **err)
{
    if (message_send(fd, type, payload, len, fds, nfds, GUEST_ANSWER_MS) == 0)
        return 0;
    if (errno == ETIMEDOUT)
        return error_set_kind(err, ERROR_LOST, "its guest takes nothing for %d s",
                              GUEST_ANSWER_MS / 1000);
    if (errno == ETOOMANYREFS)
        return error_set(err, 0,
                         "too many of this user's logins are on their way into containers "
                         "(unix(7), ETOOMANYREFS): try again");
    return error_set_kind(err, ERROR_LOST, "its guest is gone: %s", strerror(errno));
}

int guest_error(const struct message *message, struct error **err)
{
    cleanup_text struct text words = {0};

    text_display(&words, message->payload, MESSAGE_ERROR_MAX);
    return error_set_kind(err, ERROR_REFUSED, "%s", text_str(&words));
}

int guest_await(struct stream *stream, enum message_type type, int wait_ms, struct message *message,
                struct client *client, struct error **err)
{
    long long end = now_ms() + wait_ms;
    const char *why = "";

    for (;;) {
        switch (stream_read(stream, message, &why)) {
        case STREAM_MESSAGE:
            if (message->type == type)
                return 0;
            if (message->type == MESSAGE_ERROR)
                guest_error(message, err);
            else
                error_set(err, 0, "its guest sent a message that was not due");
            message_clear(message);
            return -1;
        case STREAM_AGAIN:
            break;
        case STREAM_END:
            return error_set_kind(err, ERROR_LOST, "its guest is gone");
        case STREAM_BAD:
            return error_set(err, 0, "its guest sent what is no message: %s", why);
        }
        struct pollfd fd = {.fd = stream->fd, .events = POLLIN};
        long long left = end - now_ms();
        if (left <= 0)
            return error_set_kind(err, ERROR_SLOW, "its guest has not answered in %d s",
                                  wait_ms / 1000);
        if (client_poll(client, &fd, 1, (int)left, err) < 0)
            return -1;
    }
}

int guest_hello(struct stream *stream, int wait_ms, struct client *client, struct error **err)
{
    cleanup_message struct message hello = {.fds = {-1, -1, -1}};

    if (guest_await(stream, MESSAGE_HELLO, wait_ms, &hello, client, err) < 0)
        return -1;
    const unsigned char *versions = (const unsigned char *)hello.payload;
    if (versions[0] <= MESSAGE_VERSION && versions[1] >= MESSAGE_VERSION)
        return 0;
    return error_set(err, 0,
                     "its guest speaks versions %u to %u of the control protocol, not %d: end "
                     "the container, and the next login makes another",
                     versions[0], versions[1], MESSAGE_VERSION);
}
