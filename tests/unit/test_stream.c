#include "config.h"

#include "protocol/stream.h"

#include "base/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

struct pair {
    int ends[2]; /* ends[0] reads */
    struct stream stream;
    int open_before;
};

static int count_open(void)
{
    int n = 0;
    DIR *dir = opendir("/proc/self/fd");

    assert_non_null(dir);
    while (readdir(dir))
        n++;
    closedir(dir);
    return n;
}

static void pair_open(struct pair *p, enum message_side from)
{
    p->open_before = count_open();
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, p->ends), 0);
    stream_open(&p->stream, p->ends[0], from);
}

/* Nothing that came is still open. */
static void pair_close(struct pair *p)
{
    stream_clear(&p->stream);
    close_fd(&p->ends[0]);
    close_fd(&p->ends[1]);
    assert_int_equal(count_open(), p->open_before);
}

static void send_descriptor(int fd, const void *bytes, size_t len, int sent, unsigned fds)
{
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(8 * sizeof(int))];
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
            memcpy(CMSG_DATA(&control.header) + i * sizeof sent, &sent, sizeof sent);
    }
    assert_int_equal(sendmsg(fd, &msg, 0), len);
}

static void send_bytes(int fd, const void *bytes, size_t len, unsigned fds)
{
    send_descriptor(fd, bytes, len, fd, fds);
}

static void expect(struct pair *p, enum stream_result result)
{
    struct message m;
    const char *why = NULL;

    assert_int_equal(stream_read(&p->stream, &m, &why), result);
    if (result == STREAM_BAD)
        assert_non_null(why);
    message_clear(&m);
}

/* Three messages byte by byte, with descriptors: each is there with its last byte,
 * not before. */
static void test_pieces(void **state)
{
    static const char bytes[] = "\2T\1\0\0\0\0\0\2X\0\0\0\0\0\2\0\x2a\2E\0\0\0\0\0\3why";
    const size_t last[] = {7, 17, 28};
    struct pair p;
    size_t next = 0;

    (void)state;
    pair_open(&p, MESSAGE_FROM_GUEST);
    for (size_t i = 0; i < sizeof bytes - 1; i++) {
        struct message m;
        const char *why;
        expect(&p, STREAM_AGAIN);
        send_bytes(p.ends[1], bytes + i, 1, i == 0 ? 1 : 0);
        if (i < last[next])
            continue;
        assert_int_equal(stream_read(&p.stream, &m, &why), STREAM_MESSAGE);
        assert_int_equal(m.nfds, next == 0 ? 1 : 0);
        if (next == 0) {
            assert_int_equal(m.type, MESSAGE_STARTED);
            assert_int_equal(fcntl(m.fds[0], F_GETFD), FD_CLOEXEC);
        }
        if (next == 2)
            assert_string_equal(m.payload, "why");
        message_clear(&m);
        next++;
    }
    assert_int_equal(next, 3);
    close_fd(&p.ends[1]);
    expect(&p, STREAM_END);
    pair_close(&p);
}

/* All at once: one message a read, and none eats the next one's descriptors. */
static void test_in_a_row(void **state)
{
    struct pair p;
    struct message m;
    const char *why;

    (void)state;
    pair_open(&p, MESSAGE_FROM_GUEST);
    assert_int_equal(message_send(p.ends[1], MESSAGE_HELLO, "\1\1", 2, NULL, 0, 100), 0);
    assert_int_equal(message_send(p.ends[1], MESSAGE_STARTED, NULL, 0, p.ends, 1, 100), 0);
    assert_int_equal(message_send(p.ends[1], MESSAGE_EXIT, "\0\0", 2, NULL, 0, 100), 0);
    assert_int_equal(stream_read(&p.stream, &m, &why), STREAM_MESSAGE);
    assert_int_equal(m.type, MESSAGE_HELLO);
    assert_int_equal(m.nfds, 0);
    message_clear(&m);
    assert_int_equal(stream_read(&p.stream, &m, &why), STREAM_MESSAGE);
    assert_int_equal(m.type, MESSAGE_STARTED);
    assert_int_equal(m.nfds, 1);
    message_clear(&m);
    expect(&p, STREAM_MESSAGE);
    expect(&p, STREAM_AGAIN);
    pair_close(&p);
}

static void test_malformed(void **state)
{
    static const struct {
        const char *bytes;
        size_t len;
        unsigned fds;
    } bad[] = {
        {"\3T\0\0\0\0\0\0", 8, 0},         /* version */
        {"\2S\0\0\0\0\0\1x", 9, 0},        /* the other side's */
        {"\2T\1\0\0\0\0\0", 8, 0},         /* announced, not there */
        {"\2T\0\0\0\0\0\0", 8, 1},         /* there, not announced */
        {"\2T\1\0\0\0\0\0", 8, 2},         /* more */
        {"\2T\1\0\0\0\0\0", 8, 4},         /* more than there is room for */
        {"\2T\3\0\0\0\0\0", 8, 3},         /* as announced, but too many */
        {"\2E\0\0\xff\xff\xff\xff", 8, 0}, /* long */
        {"\2X\0\0\0\0\0\2\1\0", 10, 0},    /* killed by signal 0 */
    };

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct pair p;
        pair_open(&p, MESSAGE_FROM_GUEST);
        send_bytes(p.ends[1], bad[i].bytes, bad[i].len, bad[i].fds);
        expect(&p, STREAM_BAD);
        send_bytes(p.ends[1], "\2T\0\0\0\0\0\0", 8, 0);
        expect(&p, STREAM_BAD);
        pair_close(&p);
    }
}

/* Not with the second byte of a header, nor with a payload's. */
static void test_late_descriptors(void **state)
{
    (void)state;
    for (size_t at = 1; at < 10; at++) {
        static const char bytes[] = "\2X\0\0\0\0\0\2\0\0";
        struct pair p;

        pair_open(&p, MESSAGE_FROM_GUEST);
        send_bytes(p.ends[1], bytes, at, 0);
        send_bytes(p.ends[1], bytes + at, 10 - at, 1);
        expect(&p, STREAM_BAD);
        pair_close(&p);
    }
}

/* A TCP socket whose close(2) would take 20 s. */
static int lingering_socket(int *other)
{
    static const struct linger linger = {1, 20};
    static char bytes[65536];
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof at;
    cleanup_fd int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_int_equal(bind(listener, (struct sockaddr *)&at, sizeof at), 0);
    assert_int_equal(listen(listener, 1), 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)&at, &len), 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&at, sizeof at), 0);
    *other = accept(listener, NULL, NULL);
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger), 0);
    while (send(fd, bytes, sizeof bytes, MSG_DONTWAIT) > 0)
        ;
    return fd;
}

/* Whatever comes is let go at once, with a message or where it can't be. */
static void test_lingering_descriptors(void **state)
{
    (void)state;
    for (int late = 0; late < 2; late++) {
        struct pair p;
        int other;
        pair_open(&p, MESSAGE_FROM_GUEST);
        int fd = lingering_socket(&other);
        if (late)
            send_bytes(p.ends[1], "\2", 1, 0);
        send_descriptor(p.ends[1], late ? "T" : "\2", 1, fd, 5);
        close_fd(&fd);
        long long before = now_ms();
        expect(&p, STREAM_BAD);
        stream_clear(&p.stream);
        assert_true(now_ms() - before < 10000);
        close_fd(&other);
        pair_close(&p);
    }
}

static void test_cut(void **state)
{
    static const char bytes[] = "\2E\0\0\0\0\0\3why";

    (void)state;
    for (size_t len = 0; len < sizeof bytes - 1; len++) {
        struct pair p;
        pair_open(&p, MESSAGE_FROM_GUEST);
        if (len > 0)
            send_bytes(p.ends[1], bytes, len, 0);
        close_fd(&p.ends[1]);
        expect(&p, len == 0 ? STREAM_END : STREAM_BAD);
        pair_close(&p);
    }
}

/* Freed with its descriptors, also when the message never becomes whole. */
static void test_given_up(void **state)
{
    struct pair p;

    (void)state;
    pair_open(&p, MESSAGE_FROM_HELPER);
    send_bytes(p.ends[1], "\2S\3\0\0\x10\0\0abc", 11, 3);
    expect(&p, STREAM_AGAIN);
    pair_close(&p);
}

/* The longest START, with a reader that takes it; then with one that doesn't. */
static void test_send(void **state)
{
    struct pair p;
    static char payload[MESSAGE_PAYLOAD_MAX];

    (void)state;
    memset(payload, 'x', sizeof payload);
    pair_open(&p, MESSAGE_FROM_HELPER);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        const int fds[3] = {0, 1, 2};
        _exit(message_send(p.ends[1], MESSAGE_START, payload, MESSAGE_PAYLOAD_MAX, fds, 3, 10000));
    }
    struct message m;
    const char *why;
    enum stream_result result;
    while ((result = stream_read(&p.stream, &m, &why)) == STREAM_AGAIN)
        usleep(100);
    assert_int_equal(result, STREAM_MESSAGE);
    assert_int_equal(m.nfds, 3);
    assert_int_equal(m.len, MESSAGE_PAYLOAD_MAX);
    assert_memory_equal(m.payload, payload, MESSAGE_PAYLOAD_MAX);
    message_clear(&m);
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);

    long long before = now_ms();
    assert_int_equal(
        message_send(p.ends[1], MESSAGE_START, payload, MESSAGE_PAYLOAD_MAX, NULL, 0, 50), -1);
    assert_int_equal(errno, ETIMEDOUT);
    assert_true(now_ms() - before >= 50);
    close_fd(&p.ends[0]);
    assert_int_equal(message_send(p.ends[1], MESSAGE_START, payload, 1, NULL, 0, 50), -1);
    assert_int_equal(errno, EPIPE);
    pair_close(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pieces),
        cmocka_unit_test(test_in_a_row),
        cmocka_unit_test(test_malformed),
        cmocka_unit_test(test_late_descriptors),
        cmocka_unit_test(test_lingering_descriptors),
        cmocka_unit_test(test_cut),
        cmocka_unit_test(test_given_up),
        cmocka_unit_test(test_send),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
