/* The guest's end of a session: what its helper must not send, and a helper that sends
 * nothing. Whatever comes, another session beside it goes on. */
#include "config.h"

#include "guest_session.h"
#include "pidfds.h"

#include "base/file.h"

#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define GOT "the container's guest got a message "

/* --- before START */

struct bad {
    const char *bytes;
    size_t len;
    unsigned fds;
    bool cut; /* and then the end */
    const char *why;
};

static void refused(const struct bad *bad)
{
    cleanup_text struct text rest = {0};
    struct held other, h;

    held_wait(&other, &rest);
    held_open(&h);
    send_bytes(&h, bad->bytes, bad->len, bad->fds);
    if (bad->cut)
        assert_int_equal(shutdown(h.helper, SHUT_WR), 0);
    session_receive(h.s, &setting);
    expect_error(&h, GOT, bad->why);
    held_let_go(&h, SESSION_DONE);
    held_close(&h);
    held_starts_yet(&other, &rest);
}

static void test_malformed(void **state)
{
    static const struct bad bad[] = {
        {BYTES("GET / HTTP/1.1\r\n"), 0, false, "of another version of the protocol"},
        {BYTES("\2\2\2\2\2\2\2\2"), 0, false, "of an unknown type"},
        {BYTES("\2S\3\1\0\0\0\1x"), 3, false, "of an unknown type"},
        {BYTES("\2S"), 3, true, "cut off"},
        {BYTES("\2S\3\0\0\x10\0\0abc"), 3, true, "cut off"},
        {BYTES("\2S\3\0\0\x20\0\1"), 3, false, "of a wrong length"},
        {BYTES("\2S\3\0\xff\xff\xff\xff"), 3, false, "of a wrong length"},
        {BYTES("\2S\3\0\0\0\0\0"), 3, false, "of a wrong length"},
        {BYTES("\1S\3\0\0\0\0\1x"), 3, false, "of another version of the protocol"},
        {BYTES("\3S\3\0\0\0\0\1x"), 3, false, "of another version of the protocol"},
        {BYTES("\1H\0\0\0\0\0\2\1\1"), 0, false, "of another version of the protocol"},
        {BYTES("\2H\0\0\0\0\0\2\2\2"), 0, false, "of the other side's type"},
        {BYTES("\2S\3\0\0\0\0\1x"), 3, false, "START: cut off"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        refused(&bad[i]);
}

static void test_not_due(void **state)
{
    static const struct bad bad[] = {
        /* SIGWINCH: it ends nobody, whoever were to get it. */
        {BYTES("\2K\0\0\0\0\0\1\34"), 0, false, "that isn't due"},
        {BYTES("\2L\1\0\0\0\0\11\0\0\0\0\0\0\0\0\0"), 1, false, "that isn't due"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        refused(&bad[i]);
}

/* As many descriptors come as are announced, or not. */
static void wrong_number(bool tty, unsigned announced, unsigned fds, const char *why)
{
    cleanup_text struct text message = {0}, start = {0};
    unsigned char header[MESSAGE_HEADER_SIZE];

    make_start(&start, "exit 7", tty);
    message_header_write(header,
                         &(struct message_header){MESSAGE_START, announced, (uint32_t)start.len});
    text_add(&message, (char *)header, sizeof header);
    text_add(&message, start.data, start.len);
    refused(&(struct bad){message.data, message.len, fds, false, why});
}

static void test_wrong_descriptors(void **state)
{
    static const char wrong[] = "with a wrong number of descriptors";

    (void)state;
    wrong_number(false, 0, 0, wrong);
    wrong_number(true, 3, 3, wrong);
    wrong_number(false, 1, 1, wrong);
    wrong_number(false, 2, 2, wrong);
    wrong_number(false, 3, 0, wrong);
    wrong_number(false, 3, 2, wrong);
    wrong_number(false, 0, 3, wrong);
    wrong_number(false, 4, 4, "with descriptors that it can't have");
    wrong_number(false, 3, 4, "with descriptors that it can't have");
}

static void test_no_start(void **state)
{
    static const char bytes[] = "\2S\3\0\0\0\0\11abc";
    struct held other, h;

    (void)state;
    held_run(&other);
    assert_true(session_deadline(other.s) == LLONG_MAX);
    held_open(&h);
    const long long deadline = now + 10000;
    /* It isn't put off by what comes. */
    for (size_t i = 0; i < sizeof bytes - 1; i++) {
        assert_true(session_deadline(h.s) == deadline);
        expect_no_more(&h, STREAM_AGAIN);
        now += 900;
        send_bytes(&h, bytes + i, 1, i == 0 ? 3 : 0);
        session_receive(h.s, &setting);
    }
    now = deadline;
    session_expire(h.s);
    expect_error(&h, "", "no whole START came in 10 s");
    held_let_go(&h, SESSION_DONE);
    held_close(&h);
    session_expire(other.s);
    held_runs_on(&other);
}

/* It has gone: nobody would see what it ran. */
static void test_gone_before_it_starts(void **state)
{
    struct held h;

    (void)state;
    held_open(&h);
    send_start(&h, "exit 7");
    close_fd(&h.helper);
    session_receive(h.s, &setting);
    assert_int_equal(h.s->state, SESSION_DONE);
    assert_int_equal(h.s->pid, 0);
    held_close(&h);

    held_open(&h);
    send_bytes(&h, BYTES("\2S\3\0\0\x10\0\0abc"), 3);
    close_fd(&h.helper);
    session_receive(h.s, &setting);
    held_let_go(&h, SESSION_DONE);
    held_close(&h);
}

/* It can't be told why, and holds nobody up for longer than the guest allows. */
static void test_takes_nothing(void **state)
{
    static const char full[4096];
    cleanup_text struct text rest = {0};
    struct held other, h;
    const long long before = now;

    (void)state;
    held_wait(&other, &rest);
    held_open(&h);
    while (send(h.s->fd, full, sizeof full, MSG_DONTWAIT) > 0)
        ;
    send_bytes(&h, BYTES("\2K\0\0\0\0\0\1\34"), 0);
    tick = 50;
    session_receive(h.s, &setting);
    tick = 0;
    assert_in_range(now - before, SESSION_SEND_MS, 2 * SESSION_SEND_MS);
    held_let_go(&h, SESSION_DONE);
    held_close(&h);
    held_starts_yet(&other, &rest);
}

/* --- after it */

static void expect_hung_up(struct held *h)
{
    held_let_go(h, SESSION_HANGING);
    assert_true(session_deadline(h->s) == now + GRACE_MS);
    int status = held_status(h);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGHUP);
    session_ended(h->s, status, &setting);
    assert_int_equal(h->s->state, SESSION_HANGING);
    held_close(h);
}

static void test_malformed_while_it_runs(void **state)
{
    static const struct bad bad[] = {
        {BYTES("GET / HTTP/1.1\r\n"), 0, false, "of another version of the protocol"},
        {BYTES("\1K\0\0\0\0\0\1\17"), 0, false, "of another version of the protocol"},
        {BYTES("\2K\0\0\0\0\0\2\17\17"), 0, false, "of a wrong length"},
        {BYTES("\2K\0\0\0\0\0\1\0"), 0, false, "with a value out of bounds"},
        {BYTES("\2K\0\0\0\0\0\1\x20"), 0, false, "with a value out of bounds"},
        {BYTES("\2K\0\0\0\0\0\1\17"), 2, false, "with a wrong number of descriptors"},
        {BYTES("\2K\0\0\0\0\0\1"), 0, true, "cut off"},
        {BYTES("\2S\3\0\0\0\0\1x"), 3, false, "that isn't due"},
        {BYTES("\2L\1\0\0\0\0\11\0\0\0\0\0\0\0\0\0"), 1, false, "that isn't due"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct held other, h;
        held_run(&other);
        held_run(&h);
        send_bytes(&h, bad[i].bytes, bad[i].len, bad[i].fds);
        if (bad[i].cut)
            assert_int_equal(shutdown(h.helper, SHUT_WR), 0);
        session_receive(h.s, &setting);
        expect_error(&h, GOT, bad[i].why);
        expect_hung_up(&h);
        held_runs_on(&other);
    }
}

/* Under valgrind, which has no pidfds, a signal that it has caught in the child is forgotten
 * by execve(2). */
static void test_start_behind_start(void **state)
{
    struct held other, h;

    (void)state;
    skip_without_pidfds();
    held_run(&other);
    held_open(&h);
    assert_int_equal(pipe2(h.in, O_CLOEXEC), 0);
    send_start(&h, "read x; exit 7");
    send_start(&h, "exit 8");
    session_receive(h.s, &setting);
    assert_int_equal(h.s->state, SESSION_STARTING);
    session_receive(h.s, &setting);
    expect_error(&h, GOT, "that isn't due");
    expect_hung_up(&h);
    held_runs_on(&other);
}

static void test_second_start(void **state)
{
    struct held other, h;

    (void)state;
    held_run(&other);
    held_run(&h);
    const pid_t first = h.s->pid;
    send_start(&h, "exit 8");
    session_receive(h.s, &setting);
    assert_int_equal(h.s->pid, first);
    expect_error(&h, GOT, "that isn't due");
    expect_hung_up(&h);
    held_runs_on(&other);
}

static void test_end_while_it_runs(void **state)
{
    struct held other, h;

    (void)state;
    held_run(&other);
    held_run(&h);
    assert_int_equal(shutdown(h.helper, SHUT_WR), 0);
    session_receive(h.s, &setting);
    expect_no_more(&h, STREAM_END);
    expect_hung_up(&h);
    held_runs_on(&other);
}

static void test_signal(void **state)
{
    struct held other, h;

    (void)state;
    held_run(&other);
    held_run(&h);
    send_bytes(&h, BYTES("\2K\0\0\0\0\0\1\17"), 0);
    session_receive(h.s, &setting);
    expect_exit(&h, "\1\17");
    held_close(&h);
    held_runs_on(&other);
}

/* The helper hears why before anything is done to what runs. */
static void test_warned(void **state)
{
    cleanup_text struct text rest = {0};
    struct held waits, h;

    (void)state;
    held_wait(&waits, &rest);
    assert_false(session_warn(waits.s, "why"));
    expect(&waits, MESSAGE_ERROR, "why", 3);
    held_starts_yet(&waits, &rest);

    held_run(&h);
    assert_true(session_warn(h.s, "why"));
    expect(&h, MESSAGE_ERROR, "why", 3);
    held_runs_on(&h);

    held_run(&h);
    session_hang_up(h.s, &setting);
    assert_false(session_warn(h.s, "why"));
    expect_no_more(&h, STREAM_END);
    expect_hung_up(&h);
}

/* What has not ended by SIGHUP ends by SIGKILL, also what its leader has left behind. */
static void test_killed(void **state)
{
    struct held other, h;
    char byte;

    (void)state;
    held_run(&other);
    held_open(&h);
    assert_int_equal(pipe2(h.out, O_CLOEXEC), 0);
    send_start(&h, "trap '' HUP; sleep 60 & echo; wait");
    session_receive(h.s, &setting);
    expect_started(&h);
    assert_int_equal(read(h.out[0], &byte, 1), 1);
    session_hang_up(h.s, &setting);
    h.s->next = other.s;
    now = session_deadline(h.s);
    session_kill(h.s);
    assert_int_equal(h.s->state, SESSION_HANGING);
    assert_int_equal(waitpid(h.s->pid, NULL, WNOHANG), 0);
    session_expire(h.s);
    session_kill(h.s);
    int status = held_status(&h);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGKILL);
    session_ended(h.s, status, &setting);
    struct pollfd slot = {.fd = h.out[0], .events = POLLIN};
    assert_int_equal(poll(&slot, 1, WAIT_MS), 1);
    assert_int_equal(read(h.out[0], &byte, 1), 0);
    for (int i = 0; i < SESSION_KILL_ROUNDS && h.s->state == SESSION_KILLING; i++) {
        now += SESSION_KILL_ROUND_MS;
        session_kill(h.s);
    }
    held_let_go(&h, SESSION_DONE);
    held_close(&h);
    held_runs_on(&other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_malformed),
        cmocka_unit_test(test_not_due),
        cmocka_unit_test(test_wrong_descriptors),
        cmocka_unit_test(test_no_start),
        cmocka_unit_test(test_gone_before_it_starts),
        cmocka_unit_test(test_takes_nothing),
        cmocka_unit_test(test_malformed_while_it_runs),
        cmocka_unit_test(test_start_behind_start),
        cmocka_unit_test(test_second_start),
        cmocka_unit_test(test_end_while_it_runs),
        cmocka_unit_test(test_signal),
        cmocka_unit_test(test_warned),
        cmocka_unit_test(test_killed),
    };

    return cmocka_run_group_tests(tests, held_make, held_drop);
}
