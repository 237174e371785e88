#include "config.h"

#include "channel/tap.h"

#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    PACKETS_MAX = 64, /* at a time: signals and the guest have their turn then */
    /* So many packets fit: each takes a page. More would be missed elsewhere: a user's pipes
     * have a bound together (pipe(7), pipe-user-pages-soft). */
    PIPE_SIZE = PACKETS_MAX * 4096,
    REST_MS = 4,     /* 16,000 lines a second: sftp-server has not so many to say */
    LAST_MAX = 1024, /* at the end: a pipe of 1 MiB (pipe(7)) has 256 */
};

int tap_open(struct tap *tap, int *theirs, struct error **err)
{
    int ends[2];

    if (pipe2(ends, O_CLOEXEC | O_DIRECT) < 0)
        return error_set(err, errno, "pipe");
    tap->fd = ends[0];
    *theirs = ends[1];
    /* What it has else will do. */
    (void)fcntl(tap->fd, F_SETPIPE_SZ, PIPE_SIZE);
    /* Ours alone: the other end is another open file. */
    (void)fd_set_nonblock(tap->fd, true);
    return 0;
}

/* sftp-server ends its lines with "\r\n". */
static void take(const struct tap *tap, const char *record, size_t len)
{
    while (len > 0 && (record[len - 1] == '\n' || record[len - 1] == '\r'))
        len--;
    if (len > 0)
        tap->take(tap->data, record, len);
}

/* False: there is nothing now, or nothing more ever. */
static bool read_packet(struct tap *tap)
{
    char packet[TAP_RECORD_MAX];
    ssize_t n = read(tap->fd, packet, sizeof packet);

    if (n > 0) {
        take(tap, packet, (size_t)n);
        return true;
    }
    if (n == 0 || (errno != EAGAIN && errno != EINTR))
        close_fd(&tap->fd);
    return false;
}

static void read_packets(struct tap *tap, int most)
{
    while (most-- > 0 && tap->fd >= 0 && read_packet(tap))
        ;
}

struct pollfd tap_slot(const struct tap *tap, int *timeout_ms)
{
    struct pollfd slot = {.fd = tap ? tap->fd : -1, .events = POLLIN};

    if (slot.fd < 0 || tap->rest == 0)
        return slot;
    const long long left = tap->rest - now_ms();
    if (left <= 0)
        return slot;
    slot.fd = -1;
    if (*timeout_ms < 0 || left < *timeout_ms)
        *timeout_ms = (int)left;
    return slot;
}

void tap_read(struct tap *tap)
{
    read_packets(tap, PACKETS_MAX);
    tap->rest = now_ms() + REST_MS;
}

void tap_feed(struct tap *tap, const char *bytes, size_t len)
{
    if (!tap->line)
        tap->line = malloc(TAP_RECORD_MAX);
    while (tap->line && len > 0) {
        const char *newline = memchr(bytes, '\n', len);
        size_t piece = newline ? (size_t)(newline - bytes) : len;
        size_t room = TAP_RECORD_MAX - tap->len, kept = piece < room ? piece : room;

        memcpy(tap->line + tap->len, bytes, kept);
        tap->len += kept;
        if (newline) {
            take(tap, tap->line, tap->len);
            tap->len = 0;
            piece++;
        }
        bytes += piece;
        len -= piece;
    }
}

void tap_close(struct tap *tap)
{
    read_packets(tap, LAST_MAX);
    close_fd(&tap->fd);
    if (tap->line)
        take(tap, tap->line, tap->len);
    free(tap->line);
    tap->line = NULL;
}
