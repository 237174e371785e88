#include "config.h"

#include "session/sftp_refusal.h"

#include "base/file.h"

#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

enum {
    FXP_INIT = 1,
    FXP_STATUS = 101,
    FX_FAILURE = 4,
    REASON_MAX = 1000,
    PACKET_MAX = 256 * 1024, /* what OpenSSH's own server takes */
};

static bool wait_for(int fd, short events, long long end)
{
    struct pollfd slot = {.fd = fd, .events = events};
    long long left = end - now_ms();

    return left > 0 && poll(&slot, 1, (int)left) > 0;
}

static bool read_all(int fd, unsigned char *buf, size_t len, long long end)
{
    while (len > 0) {
        if (!wait_for(fd, POLLIN, end))
            return false;
        ssize_t n = read(fd, buf, len);
        if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
            return false;
        if (n > 0) {
            buf += n;
            len -= (size_t)n;
        }
    }
    return true;
}

static bool write_all(int fd, const unsigned char *buf, size_t len, long long end)
{
    while (len > 0) {
        if (!wait_for(fd, POLLOUT, end))
            return false;
        ssize_t n = write(fd, buf, len);
        if (n < 0 && errno != EAGAIN && errno != EINTR)
            return false;
        if (n > 0) {
            buf += n;
            len -= (size_t)n;
        }
    }
    return true;
}

static void put_u32(unsigned char *at, size_t value)
{
    at[0] = (unsigned char)(value >> 24);
    at[1] = (unsigned char)(value >> 16);
    at[2] = (unsigned char)(value >> 8);
    at[3] = (unsigned char)value;
}

/* Reads one packet: its type and the first four bytes behind it. */
static bool read_packet(int fd, unsigned char *type, unsigned char word[4], long long end)
{
    unsigned char head[9], rest[512];

    if (!read_all(fd, head, sizeof head, end))
        return false;
    size_t len = (size_t)head[0] << 24 | (size_t)head[1] << 16 | (size_t)head[2] << 8 | head[3];
    if (len < 5 || len > PACKET_MAX)
        return false;
    *type = head[4];
    memcpy(word, head + 5, 4);
    for (len -= 5; len > 0;) {
        size_t piece = len < sizeof rest ? len : sizeof rest;
        if (!read_all(fd, rest, piece, end))
            return false;
        len -= piece;
    }
    return true;
}

void sftp_refuse(int in, int out, const char *reason)
{
    static const unsigned char version[] = {0, 0, 0, 5, 2, 0, 0, 0, 3};
    unsigned char status[32 + REASON_MAX], type = FXP_INIT, id[4];
    size_t len = strnlen(reason, REASON_MAX);
    long long end = now_ms() + SFTP_REFUSAL_MS;

    if (!write_all(out, version, sizeof version, end))
        return;
    while (type == FXP_INIT)
        if (!read_packet(in, &type, id, end))
            return;
    put_u32(status, 1 + 4 + 4 + 4 + len + 4);
    status[4] = FXP_STATUS;
    memcpy(status + 5, id, 4);
    put_u32(status + 9, FX_FAILURE);
    put_u32(status + 13, len);
    memcpy(status + 17, reason, len);
    put_u32(status + 17 + len, 0); /* no language */
    if (write_all(out, status, 21 + len, end))
        wait_for(in, POLLIN, end); /* it reads, and goes */
}
