#include "config.h"

#include "session/rate.h"

#include "base/file.h"
#include "base/runtime.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

#define RATE_FILE "rate"
#define SECOND    1000000000LL

enum { TURN_MS = 5000 };

struct rate_record {
    char magic[8]; /* "berth-l1" */
    int64_t arrival;
};

static const char magic[8] = {'b', 'e', 'r', 't', 'h', '-', 'l', '1'};

bool rate_allows(const struct rate *rate, long long *arrival, long long now, long long *wait)
{
    long long period = rate->seconds * SECOND;
    long long each = period / rate->count;
    /* Past it, or of a clock that has started anew since, or of a rate that was
     * another: no right rate has it further away. */
    long long due = *arrival < now || *arrival > now + period ? now : *arrival;

    *wait = due - now - (period - each);
    if (*wait > 0)
        return false;
    *arrival = due + each;
    return true;
}

/* Goes on while the machine sleeps, and isn't set. */
static long long now_ns(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_BOOTTIME, &ts);
    return (long long)ts.tv_sec * SECOND + ts.tv_nsec;
}

static int take(int fd, const struct rate *rate, long long *wait_s, struct error **err)
{
    struct rate_record record;
    long long arrival = 0, wait;

    if (pread(fd, &record, sizeof record, 0) == sizeof record &&
        memcmp(record.magic, magic, sizeof magic) == 0)
        arrival = record.arrival;
    if (!rate_allows(rate, &arrival, now_ns(), &wait)) {
        *wait_s = (wait + SECOND - 1) / SECOND;
        return 0;
    }
    memcpy(record.magic, magic, sizeof magic);
    record.arrival = arrival;
    ssize_t n = pwrite(fd, &record, sizeof record, 0);
    if (n != sizeof record)
        return error_set(err, n < 0 ? errno : ENOSPC, "cannot write it");
    return 1;
}

int rate_take(const struct rate *rate, int dir, long long *wait_s, struct error **err)
{
    cleanup_fd int fd = runtime_open_own(dir, RATE_FILE, O_RDWR | O_CREAT);
    int rc;

    if (fd < 0)
        rc = error_set(err, errno, "cannot open it");
    else if ((rc = file_lock(fd, TURN_MS, err)) == 0)
        rc = take(fd, rate, wait_s, err);
    if (rc < 0)
        return error_wrap(err, "the rate of logins, \"%s\" in the runtime directory", RATE_FILE);
    return rc;
}
