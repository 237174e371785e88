#include "config.h"

#include "engine/frames.h"

#include <stdbool.h>

static bool header_valid(const unsigned char *h)
{
    return h[0] <= FRAME_SYSTEM && h[1] == 0 && h[2] == 0 && h[3] == 0;
}

int frames_next(struct frames *f, const unsigned char *bytes, size_t len, size_t *payload)
{
    const struct frames before = *f;
    size_t eaten = 0;

    while (f->left == 0 && eaten < len) {
        f->header[f->have++] = bytes[eaten++];
        if (f->have < sizeof f->header)
            continue;
        if (!header_valid(f->header)) {
            *f = before;
            return -1;
        }
        f->have = 0;
        f->stream = f->header[0];
        f->left = (uint32_t)f->header[4] << 24 | (uint32_t)f->header[5] << 16 |
                  (uint32_t)f->header[6] << 8 | f->header[7];
    }
    *payload = len - eaten < f->left ? len - eaten : f->left;
    return (int)eaten;
}

void frames_taken(struct frames *f, size_t len)
{
    f->left -= (uint32_t)len;
}
