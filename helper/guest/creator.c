#include "config.h"

#include "guest/creator.h"

#include "base/file.h"
#include "protocol/stream.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static const char start_path[] = GUEST_RUN "/" START_SOCKET;

/* A full backlog is EAGAIN: the creator is there, and busy. */
enum { CONNECT_AGAIN_MS = 20 };

bool creator_outside(int fd, uid_t *uid)
{
    struct ucred peer;
    socklen_t len = sizeof peer;

    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) < 0 || len != sizeof peer)
        return false;
    *uid = peer.uid;
    return peer.pid == 0;
}

static int creator_connect(long long deadline, struct error **err)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    cleanup_fd int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    memcpy(address.sun_path, start_path, sizeof start_path);
    if (fd < 0)
        return error_set(err, errno, "cannot make a socket");
    while (connect(fd, (struct sockaddr *)&address, sizeof address) < 0) {
        if ((errno != EAGAIN && errno != EINTR) || now_ms() > deadline)
            return error_set(err, errno, "%s", start_path);
        poll(NULL, 0, CONNECT_AGAIN_MS);
    }
    return release_fd(&fd);
}

static int receive_listen(int fd, struct message *m, long long deadline, struct error **err)
{
    struct stream stream;
    const char *why = "nothing came";
    enum stream_result result;
    long long left = 0;

    stream_open(&stream, fd, MESSAGE_FROM_HELPER);
    while ((result = stream_read(&stream, m, &why)) == STREAM_AGAIN &&
           (left = deadline - now_ms()) > 0) {
        struct pollfd slot = {.fd = fd, .events = POLLIN};
        poll(&slot, 1, (int)left);
    }
    stream_clear(&stream);
    if (result == STREAM_AGAIN)
        return error_set(err, 0, "%s: no answer in %d s", start_path, CREATOR_WAIT_MS / 1000);
    if (result == STREAM_END)
        return error_set(err, 0, "%s: closed", start_path);
    if (result == STREAM_BAD)
        return error_set(err, 0, "%s: a message %s", start_path, why);
    if (m->type != MESSAGE_LISTEN)
        return error_set(err, 0, "%s: a message that isn't due", start_path);
    return 0;
}

int creator_hello(int fd, int wait_ms)
{
    static const unsigned char versions[MESSAGE_HELLO_SIZE] = {MESSAGE_VERSION, MESSAGE_VERSION};

    return message_send(fd, MESSAGE_HELLO, versions, sizeof versions, NULL, 0, wait_ms);
}

int creator_meet(struct creator *c, struct error **err)
{
    const long long deadline = now_ms() + CREATOR_WAIT_MS;
    cleanup_message struct message m = {.fds = {-1, -1, -1}};
    cleanup_fd int fd = creator_connect(deadline, err);

    if (fd < 0)
        return -1;
    if (!creator_outside(fd, &c->master))
        return error_set(err, 0, "%s: made inside this container", start_path);
    if (creator_hello(fd, CREATOR_WAIT_MS) < 0)
        return error_set(err, errno, "%s", start_path);
    if (receive_listen(fd, &m, deadline, err) < 0)
        return -1;
    message_listen_read(&c->listen, (const unsigned char *)m.payload);
    /* INT_MAX: as many as net.core.somaxconn has. */
    if (fd_set_nonblock(m.fds[0], true) < 0 || listen(m.fds[0], INT_MAX) < 0)
        return error_set(err, errno, "%s: cannot listen", start_path);
    if (message_send(fd, MESSAGE_LISTENING, NULL, 0, NULL, 0, CREATOR_WAIT_MS) < 0)
        return error_set(err, errno, "%s", start_path);
    c->listener = release_fd(&m.fds[0]);
    return 0;
}
