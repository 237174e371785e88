#include "config.h"

#include "channel/direct.h"

#include "base/file.h"
#include "base/process.h"
#include "channel/guest.h"
#include "channel/pty.h"
#include "channel/splice.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

enum slot { SLOT_SIGNALS, SLOT_CONTROL, SLOT_PIPES, SLOT_PARENT, SLOT_TAP, SLOT_COUNT };

enum {
    SIGNAL_HELD_MS = 2000, /* a living guest's answer, on a busy machine */
    GONE_HELD_MS = 500,    /* the same, for nobody who waits */
    TOGETHER_MS = 50,      /* what sshd closes at one go, likewise */
    DOUBT_MS = 1000,       /* for who looks gone, and may have stopped reading only */
    LONG_AGO = 1,          /* as if by now_ms() */
};

/* sshd's closing its ends is told although nobody here holds ours any more: the
 * entry lives as long as the file does, which the command has open. Files and
 * /dev/null, which no sshd gives, can't be watched. */
static int watch_pipes(struct direct *direct, struct error **err)
{
    char path[64];

    direct->watch = epoll_create1(EPOLL_CLOEXEC);
    if (direct->watch < 0)
        return error_set(err, errno, "epoll");
    for (int fd = 0; fd <= 2; fd++) {
        struct epoll_event event = {.events = EPOLLONESHOT, .data.fd = fd};
        if (epoll_ctl(direct->watch, EPOLL_CTL_ADD, fd, &event) < 0 && errno != EPERM)
            return error_set(err, errno, "epoll: descriptor %d", fd);
    }
    snprintf(path, sizeof path, "/proc/self/fdinfo/%d", direct->watch);
    direct->watched = open(path, O_RDONLY | O_CLOEXEC);
    return 0;
}

void direct_init(struct direct *direct, bool seen)
{
    *direct = (struct direct){.control = -1,
                              .seen = seen,
                              .master = -1,
                              .pipes = {-1, -1, -1},
                              .null = -1,
                              .watch = -1,
                              .watched = -1,
                              .parent = -1,
                              .way_back = -1};
    stream_open(&direct->stream, -1, MESSAGE_FROM_GUEST);
}

/* Pipes of our own between sshd's and the command's: `theirs` are for the guest. */
static int make_pipes(struct direct *direct, int theirs[3], struct error **err)
{
    for (int i = 0; i < (direct->tap ? 2 : 3); i++) {
        int ends[2];
        if (pipe2(ends, O_CLOEXEC) < 0)
            return error_set(err, errno, "pipe");
        theirs[i] = ends[i == 0 ? 0 : 1];
        direct->pipes[i] = ends[i == 0 ? 1 : 0];
    }
    direct->null = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (direct->null < 0)
        return error_set(err, errno, "/dev/null");
    return 0;
}

/* sshd's pipes are the login's alone, and the container's uid may be another: its
 * programs open /dev/stderr. Who can look into the processes that have the pipes
 * could use them anyway. */
static void open_to_all(const int fds[3])
{
    struct stat st;

    for (int i = 0; i < 3; i++)
        if (fds[i] >= 0 && fstat(fds[i], &st) == 0 && S_ISFIFO(st.st_mode))
            (void)!fchmod(fds[i], 0666);
}

/* stderr for a last line, without holding it: a descriptor by O_PATH isn't one of
 * the pipe's writers, for whose end sshd waits. */
static void keep_way_back(struct direct *direct)
{
    if (!direct->tap)
        direct->way_back = open("/proc/self/fd/2", O_PATH | O_CLOEXEC);
}

/* While the command lives, for sshd closes what has no writer any more: that is certain where
 * berth or the guest ends the session. A guest that is killed closes its connection before
 * the kernel ends what ran under it (pid_namespaces(7)), and who is awake at once comes in
 * time. Where it is none of sshd's pipes, or closed, there is nobody to tell. */
static void go_back(const struct direct *direct)
{
    char path[64];

    if (direct->way_back < 0)
        return;
    snprintf(path, sizeof path, "/proc/self/fd/%d", direct->way_back);
    cleanup_fd int fd = open(path, DIRECT_BACK_FLAGS);
    if (fd >= 0)
        (void)dup2(fd, 2);
}

/* Only the command holds sshd's pipes now: what it closes is closed. The stderr that it
 * hasn't got tells of a client that is gone. */
static int let_go(const struct direct *direct, struct error **err)
{
    cleanup_fd int null = open("/dev/null", O_RDWR | O_CLOEXEC);

    for (int fd = 0; fd <= (direct->tap ? 1 : 2); fd++)
        if (null < 0 || dup2(null, fd) < 0)
            return error_set(err, errno, "/dev/null");
    return 0;
}

/* /dev/ptmx of whichever mount (its number is Linux's), and a terminal. */
static bool is_master(int fd)
{
    struct stat st;
    unsigned number;

    return fstat(fd, &st) == 0 && S_ISCHR(st.st_mode) && major(st.st_rdev) == 5 &&
           minor(st.st_rdev) == 2 && ioctl(fd, TIOCGPTN, &number) == 0;
}

/* The command may run before its guest has said so, and its client may have read from it:
 * a signal that comes meanwhile is the command's, and of a client that went meanwhile there
 * was a session. With a guest that doesn't answer it ends the wait. */
static int await_answer(struct direct *direct, int wait_ms, struct message *message,
                        struct client *client, struct error **err)
{
    cleanup_error struct error *late = NULL;
    struct client nobody;

    int rc = guest_await(&direct->stream, MESSAGE_STARTED, wait_ms, message, client, err);
    if (rc == 0 || error_kind(*err) != ERROR_ABANDONED)
        return rc;
    client_none(&nobody);
    client->holds_signals = true;
    rc = guest_await(&direct->stream, MESSAGE_STARTED, client->gone ? GONE_HELD_MS : SIGNAL_HELD_MS,
                     message, client->gone ? &nobody : client, &late);
    client->holds_signals = false;
    if (rc == 0)
        error_clear(err);
    return rc;
}

static int await_started(struct direct *direct, int wait_ms, struct client *client,
                         struct error **err)
{
    struct message message;

    if (await_answer(direct, wait_ms, &message, client, err) < 0)
        return -1;
    if (message.nfds == 1 && client->tty) {
        direct->master = message.fds[0];
        message.fds[0] = -1;
    }
    bool right = message.nfds == (client->tty ? 1 : 0);
    message_clear(&message);
    if (!right || (client->tty && !is_master(direct->master)))
        return error_set(err, 0, "its guest sent what is no terminal");
    return client->tty || direct->seen ? 0 : let_go(direct, err);
}

/* What the command gets as its three. */
static int make_streams(struct direct *direct, struct client *client, int theirs[3], int own[3],
                        struct error **err)
{
    int rc;

    if (direct->seen) {
        splice_prepare();
        rc = make_pipes(direct, own, err);
    } else if ((rc = watch_pipes(direct, err)) == 0) {
        keep_way_back(direct);
        client_give_back(client);
    }
    for (int i = 0; i < 3; i++)
        theirs[i] = direct->seen ? own[i] : i;
    if (direct->tap)
        theirs[2] = -1; /* nobody else's to open */
    open_to_all(theirs);
    if (rc == 0 && direct->tap && (rc = tap_open(direct->tap, &own[2], err)) == 0)
        theirs[2] = own[2];
    return rc;
}

static int send_start(struct direct *direct, const struct text *payload, struct client *client,
                      struct error **err)
{
    int theirs[3], own[3] = {-1, -1, -1};

    if (client->tty)
        return guest_send(direct->control, MESSAGE_START, payload->data, payload->len, NULL, 0,
                          err);
    int rc = make_streams(direct, client, theirs, own, err);
    if (rc == 0)
        rc = guest_send(direct->control, MESSAGE_START, payload->data, payload->len, theirs, 3,
                        err);
    for (int i = 0; i < 3; i++)
        close_fd(&own[i]);
    return rc;
}

/* A guest that can't be reached must not get sshd's pipes: on their way in a
 * connection that nobody takes they would stay open for good. */
int direct_await(struct direct *direct, const struct text *payload, int wait_ms,
                 struct client *client, struct error **err)
{
    if (!direct->sent) {
        if (guest_hello(&direct->stream, wait_ms, client, err) < 0)
            return -1;
        direct->sent = true;
        if (send_start(direct, payload, client, err) < 0)
            return -1;
    }
    return await_started(direct, wait_ms, client, err);
}

int direct_start(struct direct *direct, int folder, pid_t pid, const struct text *payload,
                 int wait_ms, struct client *client, struct error **err)
{
    direct->sent = false;
    direct->control = guest_connect(folder, pid, client, err);
    if (direct->control < 0)
        return -1;
    stream_open(&direct->stream, direct->control, MESSAGE_FROM_GUEST);
    direct->parent = process_open(getppid(), "", NULL);
    return direct_await(direct, payload, wait_ms, client, err);
}

void direct_close(struct direct *direct)
{
    stream_clear(&direct->stream);
    close_fd(&direct->master);
    close_fd(&direct->control);
    close_fd(&direct->watch);
    close_fd(&direct->watched);
    close_fd(&direct->null);
    close_fd(&direct->parent);
    close_fd(&direct->way_back);
    for (int i = 0; i < 3; i++)
        close_fd(&direct->pipes[i]);
}

static int send_signal(const struct direct *direct, int signal, struct error **err)
{
    unsigned char number = (unsigned char)signal;

    return guest_send(direct->control, MESSAGE_SIGNAL, &number, 1, NULL, 0, err);
}

static void take_exit(const struct message *message, struct relay_result *result)
{
    const unsigned char *said = (const unsigned char *)message->payload;

    result->end = RELAY_EXIT;
    result->signal = said[0] == 1 ? said[1] : 0;
    result->status = said[0] == 1 ? 128 + said[1] : said[1];
}

static int pass_signals(const struct direct *direct, struct client *client, struct error **err)
{
    for (int signal; (signal = client_take_signal(client));)
        if (send_signal(direct, signal, err) < 0)
            return -1;
    return 0;
}

int direct_control(struct direct *direct, struct client *client, struct relay_result *result,
                   bool *ended, struct error **err)
{
    struct message message;
    const char *why = "";
    int rc = 0;

    if (pass_signals(direct, client, err) < 0)
        return -1;
    switch (stream_read(&direct->stream, &message, &why)) {
    case STREAM_AGAIN:
        return 0;
    case STREAM_MESSAGE:
        *ended = message.type == MESSAGE_EXIT;
        if (*ended)
            take_exit(&message, result);
        else if (message.type == MESSAGE_ERROR)
            rc = guest_error(&message, err);
        else
            rc = error_set(err, 0, "the container's guest sent a message that was not due");
        message_clear(&message);
        return rc;
    case STREAM_END:
        return error_set_kind(err, ERROR_LOST, "the container ended");
    case STREAM_BAD:
    default:
        return error_set(err, 0, "the container's guest sent what is no message: %s", why);
    }
}

/* Whether epoll still knows the descriptor: the command holds that file. */
static bool still_held(const struct direct *direct, int fd)
{
    char text[1024];
    int watched;
    ssize_t n = pread(direct->watched, text, sizeof text - 1, 0);

    text[n > 0 ? n : 0] = '\0';
    for (const char *line = text; line; line = strchr(line, '\n')) {
        line += *line == '\n';
        if (sscanf(line, "tfd: %d", &watched) == 1 && watched == fd)
            return true;
    }
    return false;
}

/* stdout alone without a reader is what `| head -1` does: the command meets
 * EPIPE. stderr alone is closed by no client. Where the command has closed it (2>&1),
 * time tells: of a client that is gone sshd closes stdin and stdout at once. One that stops
 * reading when it has just sent all looks the same: the command gets a while to end of EPIPE,
 * since its status counts then. One that had sent all before has stopped reading only; if it
 * is gone all the same, its connection's end will tell. */
static void read_pipes(struct direct *direct, struct client *client, long long now)
{
    struct epoll_event events[3];
    int n = epoll_wait(direct->watch, events, 3, 0);

    for (int i = 0; i < n; i++)
        direct->closed[events[i].data.fd] = now;
    const long long *closed = direct->closed;
    bool together = closed[0] && closed[1] && llabs(closed[0] - closed[1]) < TOGETHER_MS;
    if (closed[2])
        client->gone = true;
    else if (together && !direct->doubt && !still_held(direct, 2))
        direct->doubt = now_ms() + DOUBT_MS;
}

/* ms until who looks gone is taken for it, which this may be the moment for; -1: nobody
 * does. */
static int doubt_left(const struct direct *direct, struct client *client)
{
    long long left;

    if (!direct->doubt)
        return -1;
    left = direct->doubt - now_ms();
    client->gone = client->gone || left <= 0;
    return left > 0 ? (int)left : 0;
}

static int run_pipes(struct direct *direct, struct client *client, struct relay_result *result,
                     bool *ended, struct error **err)
{
    read_pipes(direct, client, LONG_AGO);
    while (!*ended && !client->gone && !deadline_done(&client->deadline, false)) {
        int timeout = doubt_left(direct, client);
        struct pollfd fds[SLOT_COUNT] = {
            [SLOT_SIGNALS] = {.fd = client->signals, .events = POLLIN},
            [SLOT_CONTROL] = {.fd = direct->control, .events = POLLIN},
            [SLOT_PIPES] = {.fd = direct->watch, .events = POLLIN},
            [SLOT_PARENT] = {.fd = direct->parent, .events = POLLIN},
            [SLOT_TAP] = tap_slot(direct->tap, &timeout),
        };
        if (poll(fds, SLOT_COUNT, deadline_turn(&client->deadline, timeout)) < 0 && errno != EINTR)
            return error_set(err, errno, "poll");
        if (fds[SLOT_SIGNALS].revents)
            client_read_signals(client);
        if (direct_control(direct, client, result, ended, err) < 0)
            return -1;
        if (fds[SLOT_PIPES].revents)
            read_pipes(direct, client, now_ms());
        if (fds[SLOT_TAP].revents)
            tap_read(direct->tap);
        if (fds[SLOT_PARENT].revents)
            client->gone = true;
    }
    return 0;
}

/* sshd has closed stdin too: what the command says of that is worth waiting for. Its end
 * of the tap may be held by others. */
static void await_last(struct direct *direct)
{
    const long long end = now_ms() + TAP_LAST_MS;

    close_fd(&direct->pipes[0]);
    close_fd(&direct->pipes[1]);
    for (long long left; direct->tap->fd >= 0 && (left = end - now_ms()) > 0;) {
        struct pollfd fds[] = {{.fd = direct->tap->fd, .events = POLLIN},
                               {.fd = direct->control, .events = POLLIN}};
        if (poll(fds, 2, (int)left) < 0 && errno != EINTR)
            return;
        if (fds[0].revents)
            tap_read(direct->tap);
        else if (fds[1].revents)
            return;
    }
}

int direct_run(struct direct *direct, struct client *client, struct relay_result *result,
               struct error **err)
{
    bool ended = false;
    int rc;

    *result = (struct relay_result){.end = RELAY_EXIT};
    if (pass_signals(direct, client, err) < 0)
        return -1;
    if (client->tty) {
        rc = pty_run(direct, client, result, &ended, err);
    } else if (direct->seen) {
        rc = splice_run(direct, client, result, &ended, err);
    } else {
        result->bytes_in = result->bytes_out = RELAY_UNSEEN;
        rc = run_pipes(direct, client, result, &ended, err);
    }
    if (rc == 0 && direct->tap && client->gone && !client->killed)
        await_last(direct);
    if (rc == 0 && !ended)
        result->end = client->gone ? RELAY_GONE : RELAY_OVER;
    if (rc < 0 || result->end == RELAY_OVER || client->killed)
        go_back(direct);
    return rc;
}
