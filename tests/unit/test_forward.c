/* What is carried on between two sockets: a real relay in a child, real sockets at
 * both of its sides. */
#include "config.h"

#include "channel/forward.h"

#include "base/file.h"
#include "session/confine.h"

#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static struct sockaddr_un at;
static int broker;
static pid_t relay;

enum { ANSWER_MS = 10000 };

static int start(void **state)
{
    static unsigned number;
    int ends[2], listener;

    (void)state;
    at = (struct sockaddr_un){.sun_family = AF_UNIX};
    snprintf(at.sun_path, sizeof at.sun_path, "/tmp/berth-forward-%d-%u", (int)getpid(), number++);
    listener = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (bind(listener, (struct sockaddr *)&at, sizeof at) < 0 || listen(listener, 128) < 0 ||
        socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
        return -1;
    relay = fork();
    if (relay == 0) {
        struct error *err = NULL;
        const char *preload = getenv("LD_PRELOAD");
        close(ends[0]);
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
        /* As it runs; valgrind makes calls of its own. */
        if (!(preload && strstr(preload, "vgpreload")) && confine_relay(&err) < 0)
            _exit(1);
        forward_run(&listener, 1, ends[1]);
        _exit(0);
    }
    close(ends[1]);
    close(listener);
    broker = ends[0];
    return 0;
}

static int stop(void **state)
{
    int status;

    (void)state;
    close(broker);
    waitpid(relay, &status, 0);
    unlink(at.sun_path);
    return status == 0 ? 0 : -1;
}

static int connect_in(void)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_int_equal(connect(fd, (struct sockaddr *)&at, sizeof at), 0);
    return fd;
}

static bool asked_within(int ms)
{
    struct pollfd fd = {.fd = broker, .events = POLLIN};

    return poll(&fd, 1, ms) == 1;
}

/* What sshd's side is from here on. */
static int let_out(void)
{
    int ends[2];
    size_t listener;

    assert_true(asked_within(ANSWER_MS));
    assert_true(forward_asked(broker, &listener));
    assert_int_equal(listener, 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    fd_set_nonblock(ends[1], true);
    forward_answer(broker, ends[1]);
    close(ends[1]);
    return ends[0];
}

static void expect(int fd, const char *bytes)
{
    char got[64] = "";
    size_t len = strlen(bytes);

    assert_int_equal(recv(fd, got, len, MSG_WAITALL), len);
    assert_memory_equal(got, bytes, len);
}

static void expect_end(int fd)
{
    char byte;

    assert_int_equal(read(fd, &byte, 1), 0);
}

static void say(int fd, const char *bytes)
{
    assert_int_equal(write(fd, bytes, strlen(bytes)), strlen(bytes));
}

static void test_both_ways_and_half_closes(void **state)
{
    (void)state;
    int in = connect_in();
    say(in, "question");
    int out = let_out();
    expect(out, "question");
    shutdown(in, SHUT_WR);
    expect_end(out);
    say(out, "answer");
    expect(in, "answer");
    say(out, "more");
    close(out);
    expect(in, "more");
    expect_end(in);
    close(in);
}

static void test_nothing_said_asks_nothing(void **state)
{
    (void)state;
    int in = connect_in(), other = connect_in();
    close(in);
    say(other, "x");
    int out = let_out();
    expect(out, "x");
    assert_false(asked_within(0));
    close(other);
    expect_end(out);
    close(out);
}

static void test_no_connection_to_be_had(void **state)
{
    size_t listener;

    (void)state;
    int in = connect_in();
    say(in, "x");
    assert_true(asked_within(ANSWER_MS) && forward_asked(broker, &listener));
    forward_answer(broker, -1);
    char byte;
    /* The byte was read, or it is a reset. */
    assert_true(read(in, &byte, 1) <= 0);
    close(in);
    in = connect_in();
    say(in, "y");
    int out = let_out();
    expect(out, "y");
    close(in);
    close(out);
}

/* The sender is kept waiting by a reader that reads nothing, and nothing is lost. */
static void test_backpressure(void **state)
{
    enum { ALL = 4 << 20, PIECE = 64 * 1024 };
    static char piece[PIECE];
    uint32_t sent = 0, got = 0, next;

    (void)state;
    int in = connect_in();
    fd_set_nonblock(in, true);
    for (size_t i = 0; i < PIECE / sizeof next; i++)
        memcpy(piece + i * sizeof next, &(uint32_t){(uint32_t)i}, sizeof next);
    ssize_t n = write(in, piece, sizeof next);
    assert_int_equal(n, sizeof next);
    sent = sizeof next;
    int out = let_out();
    for (struct pollfd fd = {.fd = in, .events = POLLOUT}; poll(&fd, 1, 200) == 1;) {
        n = write(in, piece + sent % PIECE, PIECE - sent % PIECE);
        assert_true(n > 0);
        sent += (uint32_t)n;
        assert_true(sent < ALL); /* both sockets' own, and what the relay has */
    }
    shutdown(in, SHUT_WR);
    while ((n = read(out, &next, sizeof next)) == sizeof next) {
        assert_int_equal(next, got % PIECE / sizeof next);
        got += sizeof next;
    }
    assert_int_equal(n, 0);
    assert_int_equal(got, sent & ~3U);
    close(in);
    close(out);
}

/* Who is one too many waits, and is served when another one leaves. */
static void test_as_many_as_there_may_be(void **state)
{
    int in[FORWARD_MAX + 1], out[FORWARD_MAX];

    (void)state;
    for (int i = 0; i <= FORWARD_MAX; i++) {
        in[i] = connect_in();
        say(in[i], "x");
        if (i < FORWARD_MAX)
            out[i] = let_out();
    }
    assert_false(asked_within(200));
    close(in[0]);
    expect(out[0], "x");
    expect_end(out[0]);
    close(out[0]);
    out[0] = let_out();
    expect(out[0], "x");
    for (int i = 0; i < FORWARD_MAX; i++) {
        close(in[i + 1]);
        close(out[i]);
    }
}

/* One that is gone while it had bytes coming ends its own connection alone. */
static void test_reader_gone(void **state)
{
    char bytes[1024] = {0};

    (void)state;
    signal(SIGPIPE, SIG_IGN);
    int in = connect_in(), other = connect_in();
    say(in, "x");
    int out = let_out();
    say(other, "y");
    int other_out = let_out();
    expect(out, "x");
    close(in);
    while (write(out, bytes, sizeof bytes) > 0)
        ;
    assert_true(errno == EPIPE || errno == ECONNRESET);
    close(out);
    say(other_out, "z");
    expect(other, "z");
    close(other);
    close(other_out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_both_ways_and_half_closes, start, stop),
        cmocka_unit_test_setup_teardown(test_nothing_said_asks_nothing, start, stop),
        cmocka_unit_test_setup_teardown(test_no_connection_to_be_had, start, stop),
        cmocka_unit_test_setup_teardown(test_backpressure, start, stop),
        cmocka_unit_test_setup_teardown(test_as_many_as_there_may_be, start, stop),
        cmocka_unit_test_setup_teardown(test_reader_gone, start, stop),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
