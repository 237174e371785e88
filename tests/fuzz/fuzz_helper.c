/* What a helper reads of a guest, which is hostile. The first byte says how long
 * the pieces are, and whether descriptors come along. */
#include "config.h"

#include "protocol/stream.h"

#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static ssize_t send_piece(int fd, const uint8_t *bytes, size_t len, int passed, unsigned fds)
{
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(4 * sizeof(int))];
    } control = {0};
    struct iovec piece = {.iov_base = (void *)bytes, .iov_len = len};
    struct msghdr msg = {.msg_iov = &piece, .msg_iovlen = 1};

    if (fds > 0) {
        msg.msg_control = &control;
        msg.msg_controllen = CMSG_SPACE(fds * sizeof(int));
        control.header.cmsg_level = SOL_SOCKET;
        control.header.cmsg_type = SCM_RIGHTS;
        control.header.cmsg_len = CMSG_LEN(fds * sizeof(int));
        for (unsigned i = 0; i < fds; i++)
            memcpy(CMSG_DATA(&control.header) + i * sizeof passed, &passed, sizeof passed);
    }
    return sendmsg(fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL);
}

/* True while more may come. */
static bool read_all(struct stream *stream)
{
    struct message m;
    const char *why = NULL;
    enum stream_result result;

    while ((result = stream_read(stream, &m, &why)) == STREAM_MESSAGE) {
        if (m.payload[m.len] != '\0' || m.len > MESSAGE_ERROR_MAX || m.nfds > 1 ||
            (m.nfds == 1) != (m.fds[0] >= 0))
            abort();
        message_clear(&m);
    }
    if (m.payload || m.fds[0] >= 0 || (result == STREAM_BAD && !why))
        abort();
    return result == STREAM_AGAIN;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int ends[2];
    struct stream stream;

    if (size < 1 || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0)
        return 0;
    /* Not an end of the pair: a copy in flight would keep it open. */
    int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
    const size_t piece = (data[0] >> 3) + 1;
    const unsigned fds = data[0] & 7;
    stream_open(&stream, ends[0], MESSAGE_FROM_GUEST);
    for (size_t at = 1; at < size && read_all(&stream); at += piece) {
        size_t len = at + piece < size ? piece : size - at;
        if (send_piece(ends[1], data + at, len, null, at == 1 && fds < 5 ? fds : 0) < 0)
            break;
    }
    close(ends[1]);
    if (read_all(&stream))
        abort();
    stream_clear(&stream);
    close(null);
    close(ends[0]);
    return 0;
}
