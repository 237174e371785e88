/* Descriptors, and files that decide what root's engine does. */
#ifndef BERTH_BASE_FILE_H
#define BERTH_BASE_FILE_H

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* Closes and resets to -1, keeping errno. */
void close_fd(int *fd);
#define cleanup_fd __attribute__((cleanup(close_fd)))
/* Hands it over: returns it, and resets to -1. */
int release_fd(int *fd);

/* At a program's start: 0, 1, 2 are there, /dev/null where they weren't, and
 * nothing else that was inherited. */
int fd_own_only(void);
/* Closes `from` and all above it. */
void fd_close_from(int from);

/* Sets or clears O_NONBLOCK; returns the flags that were there, -1 on error. */
int fd_set_nonblock(int fd, bool on);

/* flock(2), exclusive, for a change that takes microseconds: waits for others at most
 * `wait_ms`. */
int file_lock(int fd, int wait_ms, struct error **err);

/* CLOCK_MONOTONIC in milliseconds. */
long long now_ms(void);
/* nanosleep(2); a signal cuts it short. */
void pause_ms(long ms);

/* Its bytes up to the end, at most `most`, with a NUL after them; how many they are in
 * *len. The caller frees them. NULL: errno tells. */
char *file_read_all(int fd, size_t most, size_t *len);

enum trust {
    TRUST_PUBLIC, /* anybody may read it */
    TRUST_SECRET, /* refused where "others" may read it */
};

/* Opens a file that an administrator wrote: absolute path, O_NOFOLLOW, regular,
 * owned by root, not writable by group or others, at most `most` bytes. Returns
 * a descriptor (O_CLOEXEC); the error says which rule was broken and how to mend
 * it. */
int file_open_trusted(const char *path, enum trust trust, size_t most, struct error **err);

/* Same, read whole: NUL-terminated, the length in *len where wanted. The caller
 * frees it. */
char *file_read_trusted(const char *path, enum trust trust, size_t most, size_t *len,
                        struct error **err);

#endif
