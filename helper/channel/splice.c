#include "config.h"

#include "channel/splice.h"

#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <unistd.h>

enum {
    FLOWS = 3,
    PIECE = 1024 * 1024,
    /* In a row, before the others' turn: two sides that keep pace find no end. */
    PIECES = 16,
    /* Who moves as much is worth a larger pipe: one user's are counted, pipe(7). */
    BULK = 1024 * 1024,
    BULK_PIPE = 128 * 1024,
};

enum slot {
    SLOT_SIGNALS,
    SLOT_CONTROL,
    SLOT_PARENT,
    SLOT_TAP,
    SLOT_FLOWS,
    SLOT_COUNT = SLOT_FLOWS + FLOWS * 2
};

/* One direction. */
struct flow {
    int *from, *to; /* -1 when closed */
    int null;       /* for their places */
    bool full;      /* waits for room in `to`, else for bytes in `from` */
    bool bulk;
    bool kept; /* `to` stays open at `from`'s end: a last word is due there */
    long long *bytes;
};

struct splicing {
    struct direct *direct;
    struct client *client;
    struct relay_result *result;
    int sshd[FLOWS]; /* its ends: descriptors 0 to 2, -1 when closed */
    struct flow flows[FLOWS];
    struct error *lost; /* the container is: what it had written is moved yet */
};

/* Descriptors 0 to 2 stay taken: no file that is opened later must be one. */
static void shut(int *fd, int null)
{
    if (*fd >= 0 && *fd <= 2 && dup2(null, *fd) == *fd)
        *fd = -1;
    close_fd(fd);
}

void splice_prepare(void)
{
    static const struct sched_param plain = {0};

    /* Waking up takes the processor from nobody: sshd and the command, which it would
     * be, have then more ready for it. */
    (void)sched_setscheduler(0, SCHED_BATCH, &plain);
}

/* The end of one side is the other's: EOF to who reads, EPIPE to who writes. */
static void close_flow(struct flow *f)
{
    shut(f->from, f->null);
    shut(f->to, f->null);
}

/* splice's EAGAIN doesn't tell which of the two it waits for. The other one's bytes
 * don't either: at their end too it looks for room first. */
static bool has_room(int fd)
{
    struct pollfd slot = {.fd = fd, .events = POLLOUT};

    return poll(&slot, 1, 0) != 0;
}

/* Left as it is where the user has no more of them. */
static void widen_pipe(int fd)
{
    if (fcntl(fd, F_GETPIPE_SZ) < BULK_PIPE)
        (void)fcntl(fd, F_SETPIPE_SZ, BULK_PIPE);
}

/* Fewer and larger pieces from here on. */
static void widen(struct flow *f)
{
    f->bulk = true;
    widen_pipe(*f->from);
    widen_pipe(*f->to);
}

static void move(struct flow *f, struct deadline *deadline)
{
    for (int i = 0; i < PIECES; i++) {
        ssize_t n = splice(*f->from, NULL, *f->to, NULL, PIECE, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
        if (n > 0) {
            *f->bytes += n;
            deadline_moved(deadline);
            if (!f->bulk && *f->bytes >= BULK)
                widen(f);
            continue;
        }
        if (n < 0 && errno == EAGAIN)
            f->full = !has_room(*f->to);
        else if (n == 0 && f->kept)
            shut(f->from, f->null);
        else if (n == 0 || errno != EINTR)
            close_flow(f);
        return;
    }
}

/* sshd's ends are polled even where nothing is awaited of them: a reader's end
 * is told so. Our pipe without a writer tells its end when it is read. */
static void fill_slots(struct splicing *s, struct pollfd fds[SLOT_COUNT], int *timeout_ms)
{
    fds[SLOT_SIGNALS] = (struct pollfd){.fd = s->client->signals, .events = POLLIN};
    fds[SLOT_CONTROL] = (struct pollfd){.fd = s->direct->control, .events = POLLIN};
    fds[SLOT_PARENT] = (struct pollfd){.fd = s->direct->parent, .events = POLLIN};
    fds[SLOT_TAP] = tap_slot(s->direct->tap, timeout_ms);
    for (int i = 0; i < FLOWS; i++) {
        const struct flow *f = &s->flows[i];
        fds[SLOT_FLOWS + 2 * i] = (struct pollfd){.fd = f->full ? -1 : *f->from, .events = POLLIN};
        fds[SLOT_FLOWS + 2 * i + 1] = (struct pollfd){.fd = *f->to,
                                                      .events = f->full ? POLLOUT : 0};
    }
}

static void serve_flow(struct splicing *s, int i, short from, short to)
{
    struct flow *f = &s->flows[i];

    if (to & (POLLERR | POLLNVAL)) {
        /* Nobody reads there. stdout and stderr both: nobody is there. */
        if (i > 0)
            client_note(s->client, i, to);
        close_flow(f);
        return;
    }
    if ((from || to & POLLOUT) && *f->from >= 0)
        move(f, &s->client->deadline);
}

/* Of a guest that is killed this is heard before its commands' streams end
 * (pid_namespaces(7)): stderr is still ours to tell it. */
static void serve_control(struct splicing *s, bool *exited)
{
    if (direct_control(s->direct, s->client, s->result, exited, &s->lost) < 0) {
        *exited = true;
        s->flows[2].kept = true;
    }
}

static int turn(struct splicing *s, bool *exited, struct error **err)
{
    struct pollfd fds[SLOT_COUNT];
    int timeout = -1;

    fill_slots(s, fds, &timeout);
    if (*exited)
        fds[SLOT_CONTROL].fd = -1;
    if (poll(fds, SLOT_COUNT, deadline_turn(&s->client->deadline, timeout)) < 0 && errno != EINTR)
        return error_set(err, errno, "poll");
    if (fds[SLOT_SIGNALS].revents)
        client_read_signals(s->client);
    if ((fds[SLOT_CONTROL].revents || fds[SLOT_SIGNALS].revents) && !*exited)
        serve_control(s, exited);
    for (int i = 0; i < FLOWS; i++)
        serve_flow(s, i, fds[SLOT_FLOWS + 2 * i].revents, fds[SLOT_FLOWS + 2 * i + 1].revents);
    if (fds[SLOT_TAP].revents)
        tap_read(s->direct->tap);
    if (fds[SLOT_PARENT].revents)
        s->client->gone = true;
    return 0;
}

/* The client hasn't taken all of an output yet. */
static bool waits(const struct splicing *s)
{
    return (s->flows[1].full && *s->flows[1].from >= 0) ||
           (s->flows[2].full && *s->flows[2].from >= 0);
}

static bool finished(const struct splicing *s, bool exited)
{
    return exited && s->direct->pipes[1] < 0 && s->direct->pipes[2] < 0;
}

int splice_run(struct direct *direct, struct client *client, struct relay_result *result,
               bool *ended, struct error **err)
{
    struct splicing s = {.direct = direct, .client = client, .result = result, .sshd = {0, 1, 2}};
    bool exited = false;
    int rc = 0;

    s.flows[0] = (struct flow){.from = &s.sshd[0],
                               .to = &direct->pipes[0],
                               .null = direct->null,
                               .bytes = &result->bytes_in};
    s.flows[1] = (struct flow){.from = &direct->pipes[1],
                               .to = &s.sshd[1],
                               .null = direct->null,
                               .bytes = &result->bytes_out};
    s.flows[2] = (struct flow){.from = &direct->pipes[2],
                               .to = &s.sshd[2],
                               .null = direct->null,
                               .bytes = &result->bytes_err};
    while (rc == 0 && !client->gone && !finished(&s, exited) &&
           !deadline_done(&client->deadline, waits(&s)))
        rc = turn(&s, &exited, err);
    *ended = finished(&s, exited) && !client->gone && !s.lost;
    if (rc == 0 && s.lost && !client->gone) {
        *err = s.lost;
        return -1;
    }
    error_clear(&s.lost);
    return rc;
}
