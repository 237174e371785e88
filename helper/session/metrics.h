/* What is counted of a user's sessions, in RUNTIME/UID/metrics: kept by his helpers,
 * summed by `berth metrics`. The file is the user's: hostile when root reads it. */
#ifndef BERTH_SESSION_METRICS_H
#define BERTH_SESSION_METRICS_H

#include "base/error.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

enum {
    METRICS_OUTCOMES = 16,
    METRICS_CAUSES = 32,
    METRICS_BUCKETS = 16, /* the last holds what no other does */
};

/* One user's. */
struct metrics_counts {
    uint64_t outcome[METRICS_OUTCOMES]; /* of sessions that ran */
    uint64_t cause[METRICS_CAUSES];     /* why one didn't */
    uint64_t bucket[METRICS_BUCKETS];   /* of starts; each by itself */
    uint64_t start_ms;                  /* of all starts together */
};

/* Their names, in the file's order, NULL at the end. New ones come before the unused
 * rest; none is ever taken away. */
extern const char *const metrics_outcomes[METRICS_OUTCOMES + 1];
extern const char *const metrics_causes[METRICS_CAUSES + 1];
/* Upper bounds in ms, 0 at the end: +Inf. */
extern const unsigned metrics_bounds[METRICS_BUCKETS];

/* Opens the file in `dir`, the user's runtime directory; -1: nothing is counted, and
 * nobody's session fails for that. */
int metrics_open(int dir);
void metrics_started(int fd, long long ms);
/* A word that isn't known counts as "other". */
void metrics_ended(int fd, const char *outcome);
void metrics_refused(int fd, const char *cause);

/* What a user's file has; zeros where there is none. -1 where it can't be what a
 * helper wrote. */
int metrics_read(const char *runtime_dir, uid_t uid, struct metrics_counts *counts,
                 struct error **err);

#endif
