#include "config.h"

#include "session/slots.h"

#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/file.h>
#include <unistd.h>

struct range {
    unsigned from, to;
};

/* What is to be looked at yet: at most one range more than there are locks. */
struct ranges {
    struct range *items;
    size_t count, size;
};

static int push(struct ranges *ranges, unsigned from, unsigned to)
{
    if (from >= to)
        return 0;
    if (ranges->count == ranges->size) {
        size_t size = ranges->size ? ranges->size * 2 : 16;
        struct range *items = realloc(ranges->items, size * sizeof *items);
        if (!items)
            return -1;
        ranges->items = items;
        ranges->size = size;
    }
    ranges->items[ranges->count++] = (struct range){from, to};
    return 0;
}

static struct flock lock_of(const struct slots *slots, unsigned from, unsigned to)
{
    return (struct flock){.l_type = F_WRLCK,
                          .l_whence = SEEK_SET,
                          .l_start = (off_t)from * slots->size,
                          .l_len = (off_t)(to - from) * slots->size};
}

/* Somebody's lock in the range, as the slots of the range that it covers: any one, and
 * a stranger's may be of any size. False where there is none. */
static bool find(const struct slots *slots, const struct range *range, struct range *held,
                 pid_t *pid, bool *failed)
{
    struct flock lock = lock_of(slots, range->from, range->to);

    *failed = fcntl(slots->fd, F_GETLK, &lock) < 0;
    if (*failed || lock.l_type == F_UNLCK)
        return false;
    off_t first = lock.l_start / slots->size;
    off_t end = lock.l_len > 0 ? (lock.l_start + lock.l_len - 1) / slots->size + 1 : range->to;
    held->from = first > (off_t)range->from ? (unsigned)first : range->from;
    held->to = end < (off_t)range->to ? (unsigned)end : range->to;
    *pid = lock.l_pid > 0 ? lock.l_pid : 0;
    return true;
}

int slots_each(const struct slots *slots, slots_visit *visit, void *data, unsigned *lowest)
{
    struct ranges ranges = {0};
    unsigned free_one = slots->count;
    bool failed = push(&ranges, 0, slots->count) < 0, go_on = true;

    while (!failed && go_on && ranges.count > 0) {
        struct range range = ranges.items[--ranges.count], held;
        pid_t pid;
        if (find(slots, &range, &held, &pid, &failed)) {
            failed = push(&ranges, held.to, range.to) < 0 ||
                     push(&ranges, range.from, held.from) < 0;
            go_on = visit(data, held.from, pid);
        } else if (range.from < free_one) {
            free_one = range.from;
        }
    }
    free(ranges.items);
    if (lowest)
        *lowest = free_one;
    return failed ? -1 : 0;
}

struct tally {
    unsigned held, most;
};

static bool count(void *data, unsigned slot, pid_t pid)
{
    struct tally *tally = data;

    (void)slot;
    (void)pid;
    tally->held++;
    return tally->most == 0 || tally->held < tally->most;
}

int slots_take(const struct slots *slots, unsigned most, unsigned *slot, unsigned *held,
               struct error **err)
{
    struct tally tally = {.most = most};

    /* flock(2) knows nothing of the locks on the slots. */
    if (file_lock(slots->fd, SLOTS_TURN_MS, err) < 0)
        return -1;
    int rc = slots_each(slots, count, &tally, slot);
    *held = tally.held;
    if (rc < 0) {
        error_set(err, errno, "cannot see whose locks it has");
    } else if ((most > 0 && tally.held >= most) || *slot == slots->count) {
        rc = 0;
    } else {
        struct flock lock = lock_of(slots, *slot, *slot + 1);
        rc = fcntl(slots->fd, F_SETLK, &lock) < 0 ? error_set(err, errno, "cannot lock a part") : 1;
    }
    flock(slots->fd, LOCK_UN);
    return rc;
}

pid_t slots_holder(const struct slots *slots, unsigned slot)
{
    const struct range range = {slot, slot + 1};
    struct range held;
    bool failed;
    pid_t pid;

    return find(slots, &range, &held, &pid, &failed) ? pid : 0;
}
