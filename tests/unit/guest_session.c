#include "config.h"

#include "guest_session.h"

#include "base/file.h"
#include "protocol/start.h"

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

const struct session_setting setting = {.files = {1024, 1024}, .grace = GRACE_MS};
long long now = 5000, tick;
static int null = -1;

long long __wrap_now_ms(void);
long long __wrap_now_ms(void)
{
    now += tick;
    return now;
}

int held_make(void **state)
{
    (void)state;
    null = open("/dev/null", O_RDWR | O_CLOEXEC);
    /* nohup(1)'s would be its children's too. */
    signal(SIGHUP, SIG_DFL);
    return null < 0 ? -1 : 0;
}

int held_drop(void **state)
{
    (void)state;
    close_fd(&null);
    return 0;
}

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

void held_open(struct held *h)
{
    int ends[2];

    *h = (struct held){.in = {-1, -1}, .out = {-1, -1}};
    h->open_before = count_open();
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    h->helper = ends[1];
    h->s = session_new(ends[0]);
    assert_non_null(h->s);
    stream_open(&h->stream, h->helper, MESSAGE_FROM_GUEST);
}

static void close_ends(struct held *h)
{
    close_fd(&h->helper);
    close_fd(&h->in[1]);
    close_fd(&h->out[0]);
}

void held_close(struct held *h)
{
    session_free(h->s);
    close_ends(h);
    assert_int_equal(count_open(), h->open_before);
}

void send_bytes(const struct held *h, const void *bytes, size_t len, unsigned fds)
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
            memcpy(CMSG_DATA(&control.header) + i * sizeof null, &null, sizeof null);
    }
    assert_int_equal(sendmsg(h->helper, &msg, 0), len);
}

void expect(struct held *h, enum message_type type, const char *payload, size_t len)
{
    struct message m;
    const char *why;

    assert_int_equal(stream_read(&h->stream, &m, &why), STREAM_MESSAGE);
    assert_int_equal(m.type, type);
    assert_int_equal(m.nfds, 0);
    assert_int_equal(m.len, len);
    assert_memory_equal(m.payload, payload, len);
    message_clear(&m);
}

void expect_no_more(struct held *h, enum stream_result result)
{
    struct pollfd slot = {.fd = h->helper, .events = POLLIN};
    struct message m;
    const char *why;

    /* Until execve its process has the guest's end, too. */
    if (result == STREAM_END)
        assert_int_equal(poll(&slot, 1, WAIT_MS), 1);
    assert_int_equal(stream_read(&h->stream, &m, &why), result);
}

void expect_error(struct held *h, const char *before, const char *why)
{
    cleanup_string char *words = text_format("%s%s", before, why);

    assert_non_null(words);
    expect(h, MESSAGE_ERROR, words, strlen(words));
    expect_no_more(h, STREAM_END);
}

void held_let_go(struct held *h, enum session_state is)
{
    assert_int_equal(h->s->state, is);
    assert_int_equal(h->s->fd, -1);
    close_ends(h);
    assert_int_equal(count_open(), h->open_before);
}

void make_start(struct text *payload, const char *command, bool tty)
{
    static char none[] = "", shell[] = "/bin/sh";
    struct start start = {
        .kind = START_COMMAND, .tty = tty, .shell = shell, .cwd = none, .missing = none};
    const char *why;

    assert_int_equal(strings_add(&start.argv, command), 0);
    assert_int_equal(start_write(payload, &start, &why), 0);
    strings_free(&start.argv);
}

void send_start(struct held *h, const char *command)
{
    cleanup_text struct text start = {0};
    const int fds[3] = {h->in[0] >= 0 ? h->in[0] : null, h->out[1] >= 0 ? h->out[1] : null, null};

    make_start(&start, command, false);
    assert_int_equal(message_send(h->helper, MESSAGE_START, start.data, start.len, fds, 3, WAIT_MS),
                     0);
    close_fd(&h->in[0]);
    close_fd(&h->out[1]);
}

void expect_started(struct held *h)
{
    struct pollfd slot = {.fd = h->s->report, .events = POLLIN};

    assert_int_equal(h->s->state, SESSION_STARTING);
    assert_int_equal(poll(&slot, 1, WAIT_MS), 1);
    session_reported(h->s, &setting);
    expect(h, MESSAGE_STARTED, "", 0);
    expect_no_more(h, STREAM_AGAIN);
    assert_int_equal(h->s->state, SESSION_RUNNING);
}

int held_status(const struct held *h)
{
    int status;

    assert_true(h->s->pid > 0);
    assert_int_equal(waitpid(h->s->pid, &status, 0), h->s->pid);
    return status;
}

void expect_exit(struct held *h, const char status[MESSAGE_EXIT_SIZE])
{
    session_ended(h->s, held_status(h), &setting);
    expect(h, MESSAGE_EXIT, status, 2);
    expect_no_more(h, STREAM_END);
    assert_int_equal(h->s->state, SESSION_DONE);
}

void held_run(struct held *h)
{
    held_open(h);
    assert_int_equal(pipe2(h->in, O_CLOEXEC), 0);
    send_start(h, "read x; exit 7");
    session_receive(h->s, &setting);
    expect_started(h);
}

void held_runs_on(struct held *h)
{
    assert_int_equal(h->s->state, SESSION_RUNNING);
    assert_int_equal(waitpid(h->s->pid, NULL, WNOHANG), 0);
    expect_no_more(h, STREAM_AGAIN);
    assert_int_equal(write(h->in[1], "\n", 1), 1);
    expect_exit(h, "\0\7");
    held_close(h);
}

void held_wait(struct held *h, struct text *rest)
{
    cleanup_text struct text start = {0};
    unsigned char header[MESSAGE_HEADER_SIZE];

    held_open(h);
    make_start(&start, "exit 7", false);
    message_header_write(header, &(struct message_header){MESSAGE_START, 3, (uint32_t)start.len});
    send_bytes(h, header, sizeof header, 3);
    send_bytes(h, start.data, 5, 0);
    text_add(rest, start.data + 5, start.len - 5);
    session_receive(h->s, &setting);
}

void held_starts_yet(struct held *h, const struct text *rest)
{
    assert_int_equal(h->s->state, SESSION_WAITING);
    expect_no_more(h, STREAM_AGAIN);
    send_bytes(h, rest->data, rest->len, 0);
    session_receive(h->s, &setting);
    expect_started(h);
    expect_exit(h, "\0\7");
    held_close(h);
}
