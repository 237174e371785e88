#include "config.h"

#include "channel/pty.h"

#include "base/buffer.h"
#include "base/file.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

enum { WAITING_MAX = 64 * 1024, BLOCKED_MAX_MS = 1000 };

enum slot { SLOT_SIGNALS, SLOT_CONTROL, SLOT_CLIENT_IN, SLOT_CLIENT_OUT, SLOT_MASTER, SLOT_COUNT };

struct pty {
    struct direct *direct;
    struct client *client;
    struct relay_result *result;
    struct buffer input, output; /* to and from the container */
    bool blocked;                /* the client takes nothing now */
    bool full;                   /* the master takes nothing now */
    bool master_end;             /* nobody has the terminal open any more */
    bool ended;                  /* the command has */
    struct error *lost;          /* the container is: what it had written is moved yet */
    long long alarm;             /* now_ms() when the next SIGALRM comes, 0: none */
};

static void on_alarm(int signal)
{
    (void)signal;
}

/* The master's O_NONBLOCK is shared with whoever in the container kept a copy. A
 * signal, soon and again, gets us out of a read or write that has become a blocking
 * one. */
static void guard(struct pty *p)
{
    struct itimerval soon = {.it_value = {.tv_sec = 2 * BLOCKED_MAX_MS / 1000},
                             .it_interval = {.tv_sec = 2 * BLOCKED_MAX_MS / 1000}};
    long long now = now_ms();

    if (now < p->alarm - BLOCKED_MAX_MS)
        return;
    fd_set_nonblock(p->direct->master, true);
    setitimer(ITIMER_REAL, &soon, NULL);
    p->alarm = now + 2 * BLOCKED_MAX_MS;
}

/* Who has nothing to do is woken once more, and not for ever. */
static void unguard(struct pty *p)
{
    static const struct itimerval off = {0};

    setitimer(ITIMER_REAL, &off, NULL);
    p->alarm = 0;
}

static void set_window(struct pty *p)
{
    struct winsize size;

    p->client->resized = false;
    if (client_window(p->client, &size))
        ioctl(p->direct->master, TIOCSWINSZ, &size); /* the kernel tells the program */
}

static void read_client(struct pty *p)
{
    size_t room;
    char *at = buffer_room(&p->input, WAITING_MAX, &room);
    ssize_t n = at ? read(0, at, room) : -1;

    if (n > 0) {
        buffer_added(&p->input, (size_t)n);
        p->result->bytes_in += n;
        deadline_moved(&p->client->deadline);
    } else if (n == 0 || (at && errno != EAGAIN && errno != EINTR)) {
        p->client->gone = true;
    }
}

static void write_master(struct pty *p)
{
    while (p->input.len > 0 && !p->full) {
        guard(p);
        ssize_t n = write(p->direct->master, buffer_head(&p->input), p->input.len);
        if (n > 0)
            buffer_drop(&p->input, (size_t)n);
        else if (n < 0 && (errno == EAGAIN || errno == EINTR))
            p->full = true;
        else
            buffer_drop(&p->input, p->input.len); /* nobody will read it */
    }
}

/* False when there is nothing to read now. */
static bool read_master(struct pty *p)
{
    size_t room;
    char *at = buffer_room(&p->output, WAITING_MAX, &room);

    if (!at)
        return false;
    guard(p);
    ssize_t n = read(p->direct->master, at, room);
    if (n > 0)
        buffer_added(&p->output, (size_t)n);
    else if (n == 0 || (errno != EAGAIN && errno != EINTR))
        p->master_end = true;
    return n > 0;
}

static void write_client(struct pty *p)
{
    while (p->output.len > 0 && !p->blocked && !p->client->gone) {
        ssize_t n = write(1, buffer_head(&p->output), p->output.len);
        if (n > 0) {
            buffer_drop(&p->output, (size_t)n);
            p->result->bytes_out += n;
            deadline_moved(&p->client->deadline);
        } else if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
            p->blocked = true;
        } else {
            p->client->gone = true;
        }
    }
}

static void fill_slots(const struct pty *p, struct pollfd fds[SLOT_COUNT])
{
    bool room = p->output.len < WAITING_MAX;
    short master = 0;

    if (room)
        master |= POLLIN;
    if (p->full)
        master |= POLLOUT;
    fds[SLOT_SIGNALS] = (struct pollfd){.fd = p->client->signals, .events = POLLIN};
    fds[SLOT_CONTROL] = (struct pollfd){.fd = p->ended ? -1 : p->direct->control, .events = POLLIN};
    fds[SLOT_CLIENT_IN] = (struct pollfd){.fd = 0, .events = p->input.len == 0 ? POLLIN : 0};
    fds[SLOT_CLIENT_OUT] = (struct pollfd){.fd = p->blocked ? 1 : -1, .events = POLLOUT};
    /* Closed by all once is closed for good, as under sshd; asked again, it would
     * keep poll() awake. */
    fds[SLOT_MASTER] = (struct pollfd){.fd = p->master_end || !master ? -1 : p->direct->master,
                                       .events = master};
}

static int turn(struct pty *p, struct error **err)
{
    struct pollfd fds[SLOT_COUNT];
    bool ended = false;

    fill_slots(p, fds);
    if (poll(fds, SLOT_COUNT, deadline_turn(&p->client->deadline, -1)) < 0) {
        if (errno != EINTR)
            return error_set(err, errno, "poll");
        unguard(p);
    }
    if (fds[SLOT_SIGNALS].revents)
        client_read_signals(p->client);
    if (p->client->resized)
        set_window(p);
    if (fds[SLOT_CLIENT_OUT].revents)
        p->blocked = false;
    if (fds[SLOT_MASTER].revents & POLLOUT)
        p->full = false;
    client_note(p->client, 0, fds[SLOT_CLIENT_IN].revents);
    if (fds[SLOT_CLIENT_IN].revents & POLLIN)
        read_client(p);
    write_master(p);
    if (fds[SLOT_MASTER].revents & (POLLIN | POLLHUP | POLLERR))
        (void)read_master(p);
    write_client(p);
    if ((fds[SLOT_CONTROL].revents || fds[SLOT_SIGNALS].revents) && !p->ended &&
        direct_control(p->direct, p->client, p->result, &ended, &p->lost) < 0)
        ended = true;
    p->ended = p->ended || ended;
    return 0;
}

/* What the command wrote is in the kernel's buffer when its end is told: read
 * until there is no more, not until the terminal's end, which a background job
 * may delay for ever (tty_ioctl(4); n_tty flushes before it says EAGAIN). */
static int drain(struct pty *p, struct error **err)
{
    while (!p->client->gone && !deadline_done(&p->client->deadline, true)) {
        int wait_ms = deadline_turn(&p->client->deadline, -1);
        bool more = !p->master_end && read_master(p);
        write_client(p);
        if (!more && p->output.len == 0)
            break;
        if (p->blocked) {
            struct pollfd fds[3] = {{.fd = 1, .events = POLLOUT},
                                    {.fd = 0},
                                    {.fd = p->client->signals, .events = POLLIN}};
            if (poll(fds, 3, wait_ms) < 0 && errno != EINTR)
                return error_set(err, errno, "poll");
            if (fds[2].revents)
                client_read_signals(p->client);
            p->blocked = !fds[0].revents;
            client_note(p->client, 0, fds[1].revents);
        }
    }
    return 0;
}

int pty_run(struct direct *direct, struct client *client, struct relay_result *result, bool *ended,
            struct error **err)
{
    struct pty p = {.direct = direct, .client = client, .result = result};
    struct sigaction wake = {.sa_handler = on_alarm}, before;
    int rc = 0;

    sigaction(SIGALRM, &wake, &before);
    client->resized = true; /* it may have changed since START was made */
    while (rc == 0 && !p.ended && !client->gone &&
           !deadline_done(&client->deadline, p.output.len > 0))
        rc = turn(&p, err);
    if (rc == 0 && p.ended)
        rc = drain(&p, err);
    unguard(&p);
    sigaction(SIGALRM, &before, NULL);
    *ended = p.ended && !client->gone && p.output.len == 0 && !p.lost;
    buffer_free(&p.input);
    buffer_free(&p.output);
    if (rc == 0 && p.lost && !client->gone) {
        *err = p.lost;
        return -1;
    }
    error_clear(&p.lost);
    return rc;
}
