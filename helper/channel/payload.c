#include "config.h"

#include "channel/payload.h"

static void add(struct payload *p, const char *bytes, size_t len)
{
    p->iov[p->count++] = (struct iovec){.iov_base = (char *)bytes, .iov_len = len};
    p->len += len;
}

int payload_find(const struct buffer *output, const struct frames *frames, struct payload *payload,
                 struct error **err)
{
    const char *at = buffer_head(output);
    size_t left = output->len, len;

    payload->count = 0;
    payload->len = 0;
    payload->fd = 1;
    if (!frames) {
        add(payload, at, left);
        return 0;
    }
    struct frames f = *frames; /* a look ahead: the real one moves as bytes are taken */
    while (left > 0 && payload->count < PAYLOAD_PIECES) {
        int eaten = frames_next(&f, (const unsigned char *)at, left, &len);
        if (eaten < 0 && payload->count > 0)
            return 0; /* what came before it is handed on first */
        if (eaten < 0)
            return error_set(err, 0, "engine: attach: the stream holds what is no frame");
        int fd = f.stream == FRAME_STDERR || f.stream == FRAME_SYSTEM ? 2 : 1;
        if (len > 0 && payload->count > 0 && fd != payload->fd)
            return 0;
        if (len > 0) {
            payload->fd = fd;
            add(payload, at + eaten, len);
        }
        frames_taken(&f, len);
        at += (size_t)eaten + len;
        left -= (size_t)eaten + len;
    }
    return 0;
}

void payload_taken(struct buffer *output, struct frames *frames, size_t len)
{
    size_t piece;

    if (!frames) {
        buffer_drop(output, len);
        return;
    }
    while (output->len > 0) {
        int eaten = frames_next(frames, (const unsigned char *)buffer_head(output), output->len,
                                &piece);
        if (eaten < 0)
            return; /* payload_find says so when it gets here */
        buffer_drop(output, (size_t)eaten);
        piece = piece < len ? piece : len;
        if (piece == 0)
            return;
        frames_taken(frames, piece);
        buffer_drop(output, piece);
        len -= piece;
    }
}
