#include "config.h"

#include "policy/limit.h"

#include "policy/value.h"

#include <stdio.h>
#include <string.h>

int limit_count(const char *s, long long *out, struct error **err)
{
    if (strcmp(s, "unlimited") == 0) {
        *out = 0;
        return 0;
    }
    if (!value_decimal(s, strlen(s), LIMIT_COUNT_MOST, out) || *out == 0)
        return error_set(err, 0, "must be a number from 1 to %d, or \"unlimited\"",
                         LIMIT_COUNT_MOST);
    return 0;
}

int limit_time(const char *s, long long *out, struct error **err)
{
    if (strcmp(s, "unlimited") == 0) {
        *out = 0;
        return 0;
    }
    if (value_duration(s, out, err) < 0)
        return -1;
    return *out > 0 ? 0 : error_set(err, 0, "must be a second or more, or \"unlimited\"");
}

void limit_time_text(char text[LIMIT_TIME_SIZE], long long seconds)
{
    static const struct {
        char name;
        int seconds;
    } units[] = {{'d', 86400}, {'h', 3600}, {'m', 60}, {'s', 1}};
    size_t i = 0;

    while (seconds % units[i].seconds != 0)
        i++;
    snprintf(text, LIMIT_TIME_SIZE, "%lld%c", seconds / units[i].seconds, units[i].name);
}

int limit_rate(const char *s, struct rate *out, struct error **err)
{
    size_t count = strcspn(s, "/");
    struct error *ignored = NULL;

    if (strcmp(s, "unlimited") == 0) {
        *out = (struct rate){0};
        return 0;
    }
    if (value_decimal(s, count, LIMIT_COUNT_MOST, &out->count) && out->count > 0 &&
        s[count] == '/' && value_duration(s + count + 1, &out->seconds, &ignored) == 0 &&
        out->seconds > 0)
        return 0;
    error_clear(&ignored);
    return error_set(err, 0,
                     "must be a number of logins from 1 to %d, \"/\" and a time, as in "
                     "\"10/1m\", or \"unlimited\"",
                     LIMIT_COUNT_MOST);
}

/* "/berth/alice", or "berth-alice.slice" */
int limit_cgroup(const char *s, struct error **err)
{
    static const char slice[] = ".slice";
    size_t len = strlen(s), end = sizeof slice - 1;

    if (value_is_path(s, len) && strspn(s, "/") < len)
        return 0;
    if (value_is_name(s, len) && len > end && strcmp(s + len - end, slice) == 0)
        return 0;
    return error_set(err, 0,
                     "must be an absolute path in the cgroup hierarchy, or a systemd slice's "
                     "name, as in \"berth.slice\"");
}
