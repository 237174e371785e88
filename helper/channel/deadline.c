#include "config.h"

#include "channel/deadline.h"

#include "base/file.h"
#include "base/text.h"
#include "policy/limit.h"

#include <limits.h>
#include <unistd.h>

void deadline_start(struct deadline *d, long long max_time, long long idle_timeout, int terminal)
{
    long long now = now_ms();

    *d = (struct deadline){.max_time = {.ms = max_time * 1000, .since = now},
                           .idle = {.ms = idle_timeout * 1000, .since = now},
                           .terminal = terminal};
}

/* As wall(1) does, a line of its own wherever the cursor is. Past the queue: one
 * that the client doesn't empty would hold it back, and it counts as no byte. A
 * terminal that takes nothing now isn't looked at either. */
static void warn(const struct deadline *d, long long left, const char *unless, const char *option,
                 long long ms)
{
    char time[LIMIT_TIME_SIZE];
    cleanup_text struct text line = {0};

    limit_time_text(time, ms / 1000);
    text_printf(&line, "\r\nberth: this session ends in %lld s%s (%s = %s)\r\n",
                (left + 999) / 1000, unless, option, time);
    if (!line.failed)
        (void)!write(d->terminal, line.data, line.len);
}

/* How long until this limit is to be looked at again; 0: it is reached. */
static long long look(const struct deadline *d, struct deadline_limit *limit, const char *unless,
                      const char *option, long long now)
{
    long long left = limit->since + limit->ms - now;
    long long ahead = limit->ms / 2 < DEADLINE_WARN_MS ? limit->ms / 2 : DEADLINE_WARN_MS;

    if (limit->ms == 0)
        return LLONG_MAX;
    if (left <= 0)
        return 0;
    if (d->terminal < 0 || limit->warned)
        return left;
    if (left > ahead)
        return left - ahead;
    limit->warned = true;
    warn(d, left, unless, option, limit->ms);
    return left;
}

int deadline_turn(struct deadline *d, int timeout_ms)
{
    long long now = d->max_time.ms || d->idle.ms ? now_ms() : 0;
    long long left = LLONG_MAX, idle;

    if (d->moved) {
        d->moved = d->idle.warned = false;
        d->idle.since = now;
    }
    if (d->over) {
        left = d->over_since + DEADLINE_FLUSH_MS - now;
        left = left > 0 ? left : 0;
    } else {
        left = look(d, &d->max_time, "", "max_time", now);
        idle = look(d, &d->idle, " unless something is typed or printed", "idle_timeout", now);
        if (left == 0 || idle == 0) {
            d->over = left == 0 ? DEADLINE_MAX_TIME : DEADLINE_IDLE;
            d->over_since = now;
        }
        left = left < idle ? left : idle;
    }
    if (timeout_ms >= 0 && left > timeout_ms)
        return timeout_ms;
    return left == LLONG_MAX ? -1 : left < INT_MAX ? (int)left : INT_MAX;
}

bool deadline_done(const struct deadline *d, bool waiting)
{
    return d->over && (!waiting || now_ms() - d->over_since >= DEADLINE_FLUSH_MS);
}
