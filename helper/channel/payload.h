/* The output as the engine sent it, and what of it is for whom: frames without a
 * TTY, plain bytes with one. */
#ifndef BERTH_CHANNEL_PAYLOAD_H
#define BERTH_CHANNEL_PAYLOAD_H

#include "base/buffer.h"
#include "base/error.h"
#include "engine/frames.h"

#include <stdbool.h>
#include <sys/uio.h>

enum { PAYLOAD_PIECES = 64 };

/* Payload bytes in the buffer that go to one descriptor, without the frames'
 * headers between them. Valid until the buffer changes. */
struct payload {
    struct iovec iov[PAYLOAD_PIECES];
    int count;
    size_t len; /* of all pieces; 0: there is no payload yet */
    int fd;     /* 1 or 2 */
};

/* Finds what comes next in `output`; `frames` is NULL with a TTY. Fails where
 * the buffer begins with what is no frame. */
int payload_find(const struct buffer *output, const struct frames *frames, struct payload *payload,
                 struct error **err);

/* Drops `len` bytes of payload and the headers around them. */
void payload_taken(struct buffer *output, struct frames *frames, size_t len);

#endif
