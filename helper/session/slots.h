/* Numbered places in a file, each held by the lock of one process on its bytes:
 * fcntl(2)'s own kind, which no child inherits and no crash leaves behind. Beware:
 * closing ANY descriptor of that file ends all of the process's locks on it, so it
 * is opened once. */
#ifndef BERTH_SESSION_SLOTS_H
#define BERTH_SESSION_SLOTS_H

#include "base/error.h"

#include <stdbool.h>
#include <sys/types.h>

struct slots {
    int fd;
    unsigned size;  /* bytes of each */
    unsigned count; /* how many there are */
};

enum {
    /* For others to finish taking theirs, which is a matter of microseconds. */
    SLOTS_TURN_MS = 5000,
};

/* Visits each that another process holds, in no order, until `visit` returns false.
 * `pid` is the holder as the kernel tells it, 0 where it can't. *lowest, which may
 * be NULL, is the first free one (`count` where there is none), once all were
 * visited. 0, or -1 with errno. */
typedef bool slots_visit(void *data, unsigned slot, pid_t pid);
int slots_each(const struct slots *slots, slots_visit *visit, void *data, unsigned *lowest);

/* Takes the lowest that is free where fewer than `most` (0: any number) are held;
 * those who take one at the same time wait for each other. 1, or 0 where that many
 * are; *held is how many others are held. */
int slots_take(const struct slots *slots, unsigned most, unsigned *slot, unsigned *held,
               struct error **err);

/* Who holds this one: his pid, 0 where it is free or nobody knows. */
pid_t slots_holder(const struct slots *slots, unsigned slot);

#endif
