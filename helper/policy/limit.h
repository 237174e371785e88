/* Parsers of the values that limit sessions, as value.h's. */
#ifndef BERTH_POLICY_LIMIT_H
#define BERTH_POLICY_LIMIT_H

#include "base/error.h"
#include "policy/policy.h"

#define LIMIT_COUNT_MOST 100000

/* 1 to LIMIT_COUNT_MOST, or "unlimited": 0. */
int limit_count(const char *s, long long *out, struct error **err);
/* A duration of a second or more, or "unlimited": 0. */
int limit_time(const char *s, long long *out, struct error **err);
/* 5400 as "90m", as berth.conf would have it: in the largest unit that fits. */
enum { LIMIT_TIME_SIZE = 24 };
void limit_time_text(char text[LIMIT_TIME_SIZE], long long seconds);
/* "10/1m": so many in such a duration; or "unlimited": count 0. */
int limit_rate(const char *s, struct rate *out, struct error **err);
/* A control group's path, or a slice's name: what the engine's cgroup driver takes. */
int limit_cgroup(const char *s, struct error **err);

#endif
