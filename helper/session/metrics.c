#include "config.h"

#include "session/metrics.h"

#include "base/file.h"
#include "base/runtime.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define METRICS_FILE "metrics"
/* No count gets there; sums of as many users as there can be stay below 2^64. */
#define COUNT_MOST (UINT64_C(1) << 48)

enum {
    /* For others to count; a session's end doesn't wait longer for that. */
    TURN_MS = 200,
};

const char *const metrics_outcomes[METRICS_OUTCOMES + 1] = {
    "other", "exit", "signal", "client-gone", "error", "killed", "max-time", "idle-timeout"};

const char *const metrics_causes[METRICS_CAUSES + 1] = {
    "other",      "deny",         "tty",
    "command",    "mount",        "tls",
    "config",     "max-sessions", "host-max-sessions",
    "login-rate", "error",        "client-gone",
    "signal",     "killed",       "unmapped"};

const unsigned metrics_bounds[METRICS_BUCKETS] = {5,   10,   25,   50,   100,  250,
                                                  500, 1000, 2500, 5000, 10000};

struct file {
    char magic[8]; /* "berth-m1" */
    struct metrics_counts counts;
};

static const char magic[8] = {'b', 'e', 'r', 't', 'h', '-', 'm', '1'};

int metrics_open(int dir)
{
    return dir < 0 ? -1 : runtime_open_own(dir, METRICS_FILE, O_RDWR | O_CREAT);
}

static int load(int fd, struct metrics_counts *counts)
{
    struct file file;
    const uint64_t *all = (const uint64_t *)&file.counts;

    *counts = (struct metrics_counts){0};
    ssize_t n = pread(fd, &file, sizeof file, 0);
    if (n == 0)
        return 0;
    if (n != sizeof file || memcmp(file.magic, magic, sizeof magic) != 0)
        return -1;
    for (size_t i = 0; i < sizeof file.counts / sizeof *all; i++)
        if (all[i] > COUNT_MOST)
            return -1;
    *counts = file.counts;
    return 0;
}

typedef void change(struct metrics_counts *counts, long long ms, const char *name);

/* Another version's file, or a broken one, is begun anew. */
static void update(int fd, change *apply, long long ms, const char *name)
{
    struct file file = {0};
    cleanup_error struct error *err = NULL;

    if (fd < 0 || file_lock(fd, TURN_MS, &err) < 0)
        return;
    (void)load(fd, &file.counts);
    apply(&file.counts, ms, name);
    memcpy(file.magic, magic, sizeof magic);
    /* On a full disk a count is lost, the session isn't. */
    (void)!pwrite(fd, &file, sizeof file, 0);
    flock(fd, LOCK_UN);
}

static size_t index_of(const char *const *names, const char *name)
{
    for (size_t i = 0; names[i]; i++)
        if (strcmp(names[i], name) == 0)
            return i;
    return 0;
}

static void add_start(struct metrics_counts *counts, long long ms, const char *name)
{
    size_t i = 0;

    (void)name;
    while (metrics_bounds[i] && ms > metrics_bounds[i])
        i++;
    counts->bucket[i]++;
    counts->start_ms += (uint64_t)ms;
}

static void add_end(struct metrics_counts *counts, long long ms, const char *name)
{
    (void)ms;
    counts->outcome[index_of(metrics_outcomes, name)]++;
}

static void add_refusal(struct metrics_counts *counts, long long ms, const char *name)
{
    (void)ms;
    counts->cause[index_of(metrics_causes, name)]++;
}

void metrics_started(int fd, long long ms)
{
    update(fd, add_start, ms > 0 ? ms : 0, NULL);
}

void metrics_ended(int fd, const char *outcome)
{
    update(fd, add_end, 0, outcome);
}

void metrics_refused(int fd, const char *cause)
{
    update(fd, add_refusal, 0, cause);
}

int metrics_read(const char *runtime_dir, uid_t uid, struct metrics_counts *counts,
                 struct error **err)
{
    struct stat st;
    cleanup_fd int dir = runtime_open_user(runtime_dir, uid, false, err);

    *counts = (struct metrics_counts){0};
    if (dir < 0) {
        if (error_kind(*err) != ERROR_NOT_FOUND)
            return -1;
        error_clear(err);
        return 0;
    }
    cleanup_fd int fd = runtime_open_file(dir, METRICS_FILE, O_RDONLY);
    if (fd < 0 && errno == ENOENT)
        return 0;
    if (fd < 0 || fstat(fd, &st) < 0)
        return error_set(err, errno, "%s/%u/%s: cannot open", runtime_dir, (unsigned)uid,
                         METRICS_FILE);
    if (st.st_uid != uid || load(fd, counts) < 0)
        return error_set(err, 0, "%s/%u/%s: not what berth-session writes: not counted",
                         runtime_dir, (unsigned)uid, METRICS_FILE);
    return 0;
}
