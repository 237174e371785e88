/* A queue of bytes in one piece: filled at the tail, taken at the head. */
#ifndef BERTH_BASE_BUFFER_H
#define BERTH_BASE_BUFFER_H

#include <stddef.h>

/* Zeroed is empty. */
struct buffer {
    char *data;
    size_t size;  /* allocated */
    size_t start; /* of the bytes that are waiting */
    size_t len;
};

/* Room for at least one byte, at most `most` bytes waiting in all: where to
 * write, and how much fits, in *room. NULL where `most` are waiting already or
 * memory ran out. Bytes that wait may move. */
char *buffer_room(struct buffer *b, size_t most, size_t *room);
void buffer_added(struct buffer *b, size_t len);

static inline const char *buffer_head(const struct buffer *b)
{
    return b->data + b->start;
}
void buffer_drop(struct buffer *b, size_t len);
void buffer_free(struct buffer *b);

#endif
