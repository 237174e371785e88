#include "config.h"

#include "channel/relay.h"

#include "base/buffer.h"
#include "base/file.h"
#include "channel/payload.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum {
    /* The wait has answered, the stream still has no end: so long for each
     * next byte, then it is taken for ended. */
    STREAM_END_MS = 10000,
};

enum slot {
    SLOT_SIGNALS,
    SLOT_IN,
    SLOT_OUT,
    SLOT_ERR,
    SLOT_STREAM,
    SLOT_DEATH,
    SLOT_HTTP,
    SLOT_COUNT = SLOT_HTTP + HTTP_POLL_MAX,
};

struct relay {
    struct client *client;
    struct attach *attach;
    struct relay_result *result;

    struct buffer input; /* client -> container */
    bool input_end;      /* the client will send no more */
    bool input_shut;     /* the container has been told, or takes no more */

    struct buffer output; /* container -> client: frames, or raw with a TTY */
    struct frames frames;
    bool fast;              /* the output comes at a transfer's speed */
    size_t pace_bytes;      /* read since pace_start */
    long long pace_start;   /* CLOCK_MONOTONIC, ns */
    long long gather_until; /* same; 0: no gathering */
    bool output_end;        /* the engine will send no more */
    bool blocked[3];        /* descriptor 1 or 2 takes nothing now */
    size_t unread;          /* bytes for a stdout that is closed */
    int due;                /* a signal on their account to be passed on, or 0 */
    long long last_output;  /* now_ms() */
    long long gone_at;      /* now_ms() when the client was seen to be gone, 0: not yet */
    struct winsize window;  /* as the container has it */
};

static size_t output_limit(const struct relay *r)
{
    if (r->attach->drain)
        return RELAY_RESERVE;
    return r->attach->local ? RELAY_WINDOW : RELAY_WINDOW_REMOTE;
}

static bool wants_output(const struct relay *r)
{
    return !r->output_end && r->output.len < output_limit(r);
}

static bool wants_input(const struct relay *r)
{
    return !r->input_end && !r->input_shut && r->input.len == 0;
}

/* stdin's end is a half-close, never the session's end. With a TTY there is
 * none to pass on: there ^D is a byte. */
static void finish_input(struct relay *r)
{
    if (!r->input_end || r->input_shut || r->input.len > 0)
        return;
    r->input_shut = true;
    if (!r->attach->tty)
        hijack_shutdown_write(r->attach->stream);
}

/* Adds to a direction's bytes; its pipe is descriptor `fd`. */
static void count_moved(struct relay *r, long long *bytes, ssize_t n, int fd)
{
    if (*bytes < RELAY_BULK && *bytes + n >= RELAY_BULK)
        (void)fcntl(fd, F_SETPIPE_SZ, RELAY_BULK_PIPE); /* slower without */
    *bytes += n;
    if (n > 0)
        deadline_moved(&r->client->deadline);
}

static void read_input(struct relay *r)
{
    size_t room;
    char *at;
    ssize_t n = hijack_splice(r->attach->stream, 0, RELAY_BULK);

    if (n > 0) {
        count_moved(r, &r->result->bytes_in, n, 0);
        return;
    }
    /* A PTY, TLS, or the engine takes no more now: then by way of the buffer. */
    if (n < 0) {
        at = buffer_room(&r->input, RELAY_INPUT, &room);
        if (!at)
            return;
        n = read(0, at, room);
    }
    if (n > 0) {
        buffer_added(&r->input, (size_t)n);
        count_moved(r, &r->result->bytes_in, n, 0);
    } else if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
        r->input_end = true;
        if (r->client->tty)
            r->client->gone = true;
    }
}

static void write_input(struct relay *r)
{
    while (r->input.len > 0 && !r->input_shut) {
        ssize_t n = hijack_write(r->attach->stream, buffer_head(&r->input), r->input.len);
        if (n > 0) {
            buffer_drop(&r->input, (size_t)n);
        } else if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
            break;
        } else {
            /* The container takes no more; its output may still come. */
            buffer_drop(&r->input, r->input.len);
            r->input_shut = true;
        }
    }
    finish_input(r);
}

static long long now_ns(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (long long)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

/* Whether the output comes fast, and how long what follows may gather. */
static void pace_output(struct relay *r, size_t len)
{
    long long now = now_ns();

    r->pace_bytes += len;
    if (now - r->pace_start > RELAY_FAST_NS) {
        r->fast = r->pace_bytes >= RELAY_FAST;
        r->pace_start = now;
        r->pace_bytes = 0;
    }
    r->gather_until = r->fast && len < RELAY_GATHER ? now + RELAY_GATHER_NS : 0;
}

static int read_output(struct relay *r, struct error **err)
{
    size_t room;
    char *at = buffer_room(&r->output, output_limit(r), &room);

    if (!at)
        return r->output.len < output_limit(r) ? error_set(err, ENOMEM, "output buffer") : 0;
    ssize_t n = hijack_read(r->attach->stream, at, room);
    if (n > 0) {
        buffer_added(&r->output, (size_t)n);
        r->last_output = now_ms();
        pace_output(r, (size_t)n);
    } else if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
        /* ECONNRESET too is how a stream ends whose container left input unread. */
        r->output_end = true;
        attach_output_ended(r->attach);
    }
    return 0;
}

static size_t write_tap(struct tap *tap, const struct payload *p)
{
    for (int i = 0; i < p->count; i++)
        tap_feed(tap, p->iov[i].iov_base, p->iov[i].iov_len);
    return p->len;
}

/* Writes to 1 or 2; how many bytes it took. A closed one takes all: they are
 * nobody's. */
static size_t write_client(struct relay *r, const struct payload *p)
{
    bool *gone = p->fd == 1 ? &r->client->out_gone : &r->client->err_gone;

    if (p->fd == 2 && r->attach->tap)
        return write_tap(r->attach->tap, p);
    if (!*gone) {
        ssize_t n = writev(p->fd, p->iov, p->count);
        if (n >= 0) {
            count_moved(r, p->fd == 1 ? &r->result->bytes_out : &r->result->bytes_err, n, p->fd);
            return (size_t)n;
        }
        if (errno == EAGAIN || errno == EINTR) {
            r->blocked[p->fd] = true;
            return 0;
        }
        client_note(r->client, p->fd, POLLERR);
        if (r->client->tty)
            r->client->gone = true;
    }
    if (p->fd == 1) {
        /* The command would meet EPIPE; through the engine only the signal that
         * comes with it can be passed on. One that goes on all the same would
         * write for ever. */
        if (r->unread == 0)
            r->due = SIGPIPE;
        if (r->unread <= RELAY_UNREAD && r->unread + p->len > RELAY_UNREAD)
            r->due = SIGKILL;
        r->unread += p->len;
    }
    return p->len;
}

static void keep_head(struct relay_result *result, const struct iovec *iov, size_t len)
{
    for (; len > 0 && result->head_len < RELAY_HEAD; iov++) {
        size_t piece = len < iov->iov_len ? len : iov->iov_len;
        size_t room = RELAY_HEAD - result->head_len;
        memcpy(result->head + result->head_len, iov->iov_base, piece < room ? piece : room);
        result->head_len += piece < room ? piece : room;
        len -= piece;
    }
}

/* Hands on as much as the client takes. */
static int write_output(struct relay *r, struct error **err)
{
    struct frames *frames = r->attach->tty ? NULL : &r->frames;
    struct payload p;

    while (r->output.len > 0) {
        if (payload_find(&r->output, frames, &p, err) < 0)
            return -1;
        if (p.len > 0 && r->blocked[p.fd])
            return 0;
        size_t taken = p.len > 0 ? write_client(r, &p) : 0;
        if (p.len > 0 && taken == 0)
            return 0;
        if (r->result->head_len < RELAY_HEAD)
            keep_head(r->result, p.iov, taken);
        payload_taken(&r->output, frames, taken);
    }
    return 0;
}

/* Signals and the window, one engine call at a time. */
static void pass_control(struct relay *r)
{
    struct winsize size;
    int signal;

    if (r->attach->control || r->attach->ended)
        return;
    if (r->client->resized) {
        r->client->resized = false;
        if (client_window(r->client, &size) &&
            (size.ws_row != r->window.ws_row || size.ws_col != r->window.ws_col)) {
            r->window = size;
            attach_resize(r->attach, &size);
            return;
        }
    }
    signal = r->due ? r->due : client_take_signal(r->client);
    r->due = 0;
    if (signal)
        attach_kill(r->attach, signal);
}

static int fill_slots(struct relay *r, struct pollfd *fds, size_t *count)
{
    struct client *c = r->client;
    int timeout_ms = -1;
    short stream = 0;

    if (wants_output(r))
        stream |= POLLIN;
    else
        r->last_output = now_ms(); /* held back by us, not silent */
    if (r->input.len > 0)
        stream |= POLLOUT;
    fds[SLOT_SIGNALS] = (struct pollfd){.fd = c->signals, .events = POLLIN};
    /* A PTY is asked even when no byte is wanted: its hang-up is told there. A
     * pipe without a writer would keep poll() awake. */
    fds[SLOT_IN] = (struct pollfd){.fd = wants_input(r) || c->tty ? 0 : -1,
                                   .events = wants_input(r) ? POLLIN : 0};
    fds[SLOT_OUT] = (struct pollfd){.fd = c->out_gone ? -1 : 1,
                                    .events = r->blocked[1] ? POLLOUT : 0};
    fds[SLOT_ERR] = (struct pollfd){.fd = c->err_gone || c->tty ? -1 : 2,
                                    .events = r->blocked[2] ? POLLOUT : 0};
    fds[SLOT_STREAM] = (struct pollfd){.fd = stream ? hijack_fd(r->attach->stream) : -1,
                                       .events = stream};
    fds[SLOT_DEATH] = (struct pollfd){.fd = r->attach->died ? -1 : r->attach->init,
                                      .events = POLLIN};
    if (wants_output(r) && hijack_pending(r->attach->stream))
        timeout_ms = 0;
    else if (attach_answered(r->attach) && !r->output_end)
        timeout_ms = 1000;
    else
        timeout_ms = attach_wake_ms(r->attach);
    *count = SLOT_HTTP +
             http_poll_fill(engine_http(r->attach->engine), fds + SLOT_HTTP, &timeout_ms);
    return timeout_ms;
}

/* poll(), but where output gathers the stream is left alone for a moment. */
static int relay_poll(struct relay *r, struct pollfd *fds, size_t count, int timeout_ms)
{
    struct pollfd stream = fds[SLOT_STREAM];
    long long left = r->gather_until ? r->gather_until - now_ns() : 0;

    if (left > 0 && stream.events == POLLIN && timeout_ms != 0) {
        struct timespec moment = {0, left};
        fds[SLOT_STREAM].fd = -1;
        int ready = ppoll(fds, count, &moment, NULL);
        fds[SLOT_STREAM] = stream;
        if (ready != 0)
            return ready;
    }
    return poll(fds, count, timeout_ms);
}

static int turn(struct relay *r, struct error **err)
{
    struct pollfd fds[SLOT_COUNT];
    size_t count;
    int timeout_ms = fill_slots(r, fds, &count);

    timeout_ms = deadline_turn(&r->client->deadline, timeout_ms);
    if (r->gone_at && (timeout_ms < 0 || timeout_ms > TAP_LAST_MS / 4))
        timeout_ms = TAP_LAST_MS / 4;
    int ready = relay_poll(r, fds, count, timeout_ms);
    if (ready < 0)
        return errno == EINTR ? 0 : error_set(err, errno, "poll");
    if (fds[SLOT_SIGNALS].revents)
        client_read_signals(r->client);
    if (fds[SLOT_DEATH].revents)
        attach_died(r->attach);
    for (int fd = 0; fd < 3; fd++)
        client_note(r->client, fd, fds[SLOT_IN + fd].revents);
    if (fds[SLOT_OUT].revents)
        r->blocked[1] = false;
    if (fds[SLOT_ERR].revents)
        r->blocked[2] = false;
    if (fds[SLOT_IN].revents && wants_input(r))
        read_input(r);
    if (fds[SLOT_STREAM].revents & (POLLIN | POLLHUP | POLLERR) ||
        hijack_pending(r->attach->stream))
        if (wants_output(r) && read_output(r, err) < 0)
            return -1;
    write_input(r);
    if (write_output(r, err) < 0)
        return -1;
    /* In a stream at full speed the engine's other calls cost nothing. */
    bool http_due = ready == 0 || timeout_ms == 0;
    for (size_t i = SLOT_HTTP; i < count; i++)
        http_due = http_due || fds[i].revents;
    if (http_due) {
        if (http_poll_dispatch(engine_http(r->attach->engine), err) < 0)
            return -1;
        attach_advance(r->attach);
    }
    pass_control(r);
    return 0;
}

/* The stream has ended inside a frame. */
static bool truncated(const struct relay *r)
{
    return r->output_end && r->output.len == 0 && (r->frames.left > 0 || r->frames.have > 0);
}

/* Ended, and everything handed on. *told: the kernel has said how. */
static bool finished(struct relay *r, bool *told)
{
    bool waited = attach_answered(r->attach);

    if (r->output.len > 0)
        return false;
    if (truncated(r))
        return true;
    if (r->output_end && !waited)
        *told = attach_exited(r->attach, &r->result->status);
    if (!waited)
        return *told;
    return r->output_end || now_ms() - r->last_output > STREAM_END_MS;
}

/* What a command says to its log of its input's end is waited for. */
static bool given_up(struct relay *r)
{
    if (!r->client->gone || !r->attach->tap || r->client->killed)
        return r->client->gone;
    if (r->gone_at == 0)
        r->gone_at = now_ms();
    return now_ms() - r->gone_at > TAP_LAST_MS;
}

int relay_run(struct client *client, struct attach *attach, struct relay_result *result,
              struct error **err)
{
    struct relay r = {.client = client, .attach = attach, .result = result};
    bool told = false;
    int rc = 0;

    *result = (struct relay_result){.end = RELAY_EXIT};
    r.last_output = now_ms();
    /* Told in any case: it may have changed since the container was created, or
     * the image has no stty. */
    client->resized = client->tty;
    while (rc == 0 && !given_up(&r) && !finished(&r, &told) &&
           !deadline_done(&client->deadline, r.output.len > 0))
        rc = turn(&r, err);
    if (client->gone) {
        result->end = RELAY_GONE;
        error_clear(err);
        rc = 0;
    } else if (rc == 0 && !finished(&r, &told)) {
        result->end = RELAY_OVER;
    } else if (rc == 0 && truncated(&r)) {
        rc = error_set_kind(err, ERROR_LOST, "the container engine broke off the output");
    } else if (rc == 0 && !told) {
        rc = attach_status(attach, &result->status, err);
    }
    buffer_free(&r.input);
    buffer_free(&r.output);
    return rc;
}
