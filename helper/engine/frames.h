/* The frames of an attach without a TTY (Docker Engine API, "Stream format"):
 * one byte stream, three zero bytes, u32 big-endian length, payload. */
#ifndef BERTH_ENGINE_FRAMES_H
#define BERTH_ENGINE_FRAMES_H

#include <stddef.h>
#include <stdint.h>

enum frame_stream {
    FRAME_STDIN = 0, /* never sent to us; treated as stdout, as other clients do */
    FRAME_STDOUT = 1,
    FRAME_STDERR = 2,
    FRAME_SYSTEM = 3, /* the engine's own error text */
};

/* A parser that copies nothing and never holds more than a header. */
struct frames {
    unsigned char header[8];
    size_t have;   /* header bytes collected */
    uint32_t left; /* payload bytes to come */
    enum frame_stream stream;
};

/* Looks at `bytes`: eats header bytes, then says how many payload bytes of
 * which stream stand there. Returns the bytes eaten, -1 where they are no
 * frame (the parser is unchanged then). The caller takes at most *payload bytes after them and
 * reports what it took with frames_taken(). */
int frames_next(struct frames *f, const unsigned char *bytes, size_t len, size_t *payload);
void frames_taken(struct frames *f, size_t len);

#endif
