#include "config.h"

#include "channel/door.h"

#include "base/file.h"
#include "base/process.h"
#include "channel/guest.h"
#include "protocol/message.h"
#include "protocol/stream.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static int make_socket(int folder, const char *name, struct error **err)
{
    struct sockaddr_un at;
    cleanup_fd int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    guest_address(&at, folder, name);
    unlinkat(folder, name, 0); /* of a container's earlier life */
    if (fd < 0 || bind(fd, (struct sockaddr *)&at, sizeof at) < 0 ||
        fchmodat(folder, name, 0666, 0) < 0)
        return error_set(err, errno, "cannot make the socket \"%s\" for the container's guest",
                         name);
    return release_fd(&fd);
}

int door_open(struct door *door, int folder, struct error **err)
{
    *door = (struct door){.start = -1, .guest = -1};
    door->start = make_socket(folder, START_SOCKET, err);
    if (door->start < 0)
        return -1;
    if (listen(door->start, 4) < 0)
        return error_set(err, errno, "cannot listen for the container's guest");
    door->guest = make_socket(folder, GUEST_SOCKET, err);
    return door->guest < 0 ? -1 : 0;
}

void door_close(struct door *door)
{
    close_fd(&door->start);
    close_fd(&door->guest);
}

static int ended_at_once(struct error **err)
{
    return error_set(err, 0,
                     "its guest ended at once: it must be the container's first process (PidMode "
                     "in create?), and find its socket in " GUEST_RUN " (is anything mounted over "
                     "it?)");
}

/* The guest's connection; whoever else of the container comes is sent away. */
static int accept_guest(const struct door *door, pid_t pid, int process, struct client *client,
                        struct error **err)
{
    long long end = now_ms() + DOOR_REPORT_MS;

    for (;;) {
        struct pollfd fds[2] = {{.fd = door->start, .events = POLLIN},
                                {.fd = process, .events = POLLIN}};
        long long left = end - now_ms();
        if (left <= 0)
            return error_set(err, 0, "its guest has not reported in %d s", DOOR_REPORT_MS / 1000);
        if (client_poll(client, fds, 2, (int)left, err) < 0)
            return -1;
        int fd = accept4(door->start, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0 && guest_is(fd, pid))
            return fd;
        /* It would fail again at once. */
        if (fd < 0 && errno != EAGAIN && errno != EINTR && errno != ECONNABORTED)
            return error_set(err, errno, "cannot let its guest in");
        close_fd(&fd);
        if (fds[1].revents)
            return ended_at_once(err);
    }
}

static int hand_over(const struct door *door, struct stream *stream,
                     const struct message_listen *terms, struct client *client, struct error **err)
{
    unsigned char payload[MESSAGE_LISTEN_SIZE];
    cleanup_message struct message listening = {.fds = {-1, -1, -1}};

    message_listen_write(payload, terms);
    if (guest_send(stream->fd, MESSAGE_LISTEN, payload, sizeof payload, &door->guest, 1, err) < 0)
        return -1;
    return guest_await(stream, MESSAGE_LISTENING, GUEST_ANSWER_MS, &listening, client, err);
}

int door_welcome(struct door *door, pid_t pid, const struct message_listen *terms,
                 struct client *client, struct error **err)
{
    struct stream stream;
    cleanup_fd int process = process_open(pid, "", NULL);

    if (process < 0 && errno == ESRCH)
        return ended_at_once(err);
    cleanup_fd int fd = accept_guest(door, pid, process, client, err);
    if (fd < 0)
        return -1;
    stream_open(&stream, fd, MESSAGE_FROM_GUEST);
    int rc = guest_hello(&stream, GUEST_ANSWER_MS, client, err);
    if (rc == 0)
        rc = hand_over(door, &stream, terms, client, err);
    stream_clear(&stream);
    return rc;
}
