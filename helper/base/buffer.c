#include "config.h"

#include "base/buffer.h"

#include <stdlib.h>
#include <string.h>

enum { BUFFER_STEP = 256 * 1024 };

char *buffer_room(struct buffer *b, size_t most, size_t *room)
{
    if (b->len >= most)
        return NULL;
    if (b->len == 0)
        b->start = 0;
    if (b->start + b->len == b->size) {
        /* Half empty: moving costs less than growing, and keeps it small. */
        if (b->start >= b->size / 2 && b->start > 0) {
            memmove(b->data, b->data + b->start, b->len);
            b->start = 0;
        } else {
            char *data = realloc(b->data, b->size + BUFFER_STEP);
            if (!data)
                return NULL;
            b->data = data;
            b->size += BUFFER_STEP;
        }
    }
    size_t free_tail = b->size - b->start - b->len;
    *room = free_tail < most - b->len ? free_tail : most - b->len;
    return b->data + b->start + b->len;
}

void buffer_added(struct buffer *b, size_t len)
{
    b->len += len;
}

void buffer_drop(struct buffer *b, size_t len)
{
    b->start += len;
    b->len -= len;
}

void buffer_free(struct buffer *b)
{
    free(b->data);
    *b = (struct buffer){0};
}
