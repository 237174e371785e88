/* Parsers of single values of berth.conf. Each returns 0, or -1 with an error
 * that says what would be right; the caller puts file, line, option and the
 * value itself before it. */
#ifndef BERTH_POLICY_VALUE_H
#define BERTH_POLICY_VALUE_H

#include "base/error.h"
#include "policy/policy.h"

#include <stdbool.h>
#include <stddef.h>

/* The kernel's limit for one argument or one NAME=value is 131,072 bytes with
 * the NUL; nothing longer could be of use anywhere. */
#define VALUE_MOST    131071
#define DURATION_MOST (3650LL * 86400)
#define STANDBY_MOST  100

int value_bool(const char *s, bool *out, struct error **err);
int value_pull(const char *s, enum pull *out, struct error **err);
int value_channel(const char *s, enum channel *out, struct error **err);
int value_scope(const char *s, enum scope *out, struct error **err);
int value_on_idle(const char *s, enum on_idle *out, struct error **err);
int value_replace(const char *s, enum replace *out, struct error **err);
int value_forwarding(const char *s, bool *out, struct error **err);
int value_audit_format(const char *s, enum audit_format *out, struct error **err);
/* "30m" in seconds; an optional s, m, h or d. */
int value_duration(const char *s, long long *out, struct error **err);
/* 0 to STANDBY_MOST containers. */
int value_standby(const char *s, long long *out, struct error **err);
/* A duration, or "forever": -1. */
int value_linger(const char *s, long long *out, struct error **err);
/* "512m" in bytes; an optional b, k, m or g, in either case. */
int value_size(const char *s, long long *out, struct error **err);
/* A size of 6m (the engine's minimum) or more, or "unlimited": 0. */
int value_memory(const char *s, long long *out, struct error **err);
/* The same, but "unlimited" and "-1" are -1. */
int value_memory_swap(const char *s, long long *out, struct error **err);
/* "1.5" as 1500000000, or "unlimited": 0. */
int value_cpus(const char *s, long long *out, struct error **err);
/* 1 to 4194304 (the kernel's PID_MAX_LIMIT), or "unlimited" or "-1": -1. */
int value_pids(const char *s, long long *out, struct error **err);

/* All of `len` bytes are decimal digits and the number is at most `most`. */
bool value_decimal(const char *s, size_t len, long long most, long long *out);
/* Absolute, no "." or ".." component, shorter than PATH_MAX. */
bool value_is_path(const char *s, size_t len);
/* [a-zA-Z0-9][a-zA-Z0-9_.-]*, at most 255 bytes: what the engine calls its objects. */
bool value_is_name(const char *s, size_t len);

/* Valid UTF-8 without control characters (with `lines`: newline and tab may be
 * there), at most VALUE_MOST bytes. True of every value, whatever else it is. */
int value_text(const char *s, bool lines, struct error **err);
int value_filled(const char *s, struct error **err); /* not empty */
int value_path(const char *s, struct error **err);
int value_name(const char *s, struct error **err);
int value_image(const char *s, struct error **err);
int value_user(const char *s, struct error **err);
/* A number over 0, or a pattern (fnmatch(3)) of group names. */
int value_groups(const char *s, struct error **err);
int value_hostname(const char *s, struct error **err); /* RFC 1123, 2.1 */
int value_network(const char *s, struct error **err);
int value_address(const char *s, struct error **err); /* IPv4 or IPv6 */
int value_security_opt(const char *s, struct error **err);
int value_label(const char *s, struct error **err);
int value_env(const char *s, struct error **err);
int value_env_pattern(const char *s, struct error **err);

#endif
