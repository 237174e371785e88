/* A command's stderr that goes to a log, not to the client. Whoever has it open in the
 * container can write what he likes there, as fast as he likes: a record has a bound, and
 * so has what is read at a time. */
#ifndef BERTH_CHANNEL_TAP_H
#define BERTH_CHANNEL_TAP_H

#include "base/error.h"

#include <poll.h>
#include <stdbool.h>
#include <stddef.h>

enum {
    TAP_RECORD_MAX = 4096, /* PIPE_BUF; of what is longer the rest is left out */
    /* Of a client that went away, for the command to see its input's end and say its last. */
    TAP_LAST_MS = 300,
};

struct tap {
    int fd; /* our end of the pipe, -1: none, or its end was read */
    /* One record, without its line's end. */
    void (*take)(void *data, const char *record, size_t len);
    void *data;
    long long rest; /* now_ms() before which nobody looks again */
    char *line;     /* the one that tap_feed has begun, NULL: none was yet */
    size_t len;
};

/* The other end is the command's: the caller closes it. A packet of it is one write(2), so
 * that a newline within a record, in a file's name, begins no other one. */
int tap_open(struct tap *tap, int *theirs, struct error **err);

/* Its slot in a poll loop; *timeout_ms (-1: none) is cut to when to look again. A log needs
 * no hurry, and who is woken for each of its lines takes the processor from who writes
 * them. `tap` may be NULL. */
struct pollfd tap_slot(const struct tap *tap, int *timeout_ms);

/* Takes what is there, without waiting; so much that it fits a pipe, and the rest next
 * time. */
void tap_read(struct tap *tap);

/* The same for bytes that came another way; their records are lines. */
void tap_feed(struct tap *tap, const char *bytes, size_t len);

/* What is there yet, and a line that has no end. */
void tap_close(struct tap *tap);

#endif
