#include "config.h"

#include "session/audit.h"

#include <string.h>
#include <syslog.h>

/* A log line of over 1 KiB is cut by some syslog daemons (RFC 3164's limit). */
enum { COMMAND_MAX = 400, REASON_MAX = 400, NAME_MAX_LOGGED = 200 };

static void add_quoted(struct text *line, const char *key, const char *value, size_t most)
{
    text_printf(line, " %s=\"", key);
    text_escape(line, value, most);
    text_puts(line, "\"");
}

static void add_common(struct text *line, const char *event, const struct request *request,
                       const struct policy *policy, const char *container)
{
    text_printf(line, "%s session=%s", event, request->session);
    if (request->account.name)
        add_quoted(line, "user", request->account.name, NAME_MAX_LOGGED);
    text_printf(line, " uid=%u client=%s port=%s kind=%s tty=%s", (unsigned)request->account.uid,
                request->client, request->port, request_kind_name(request->kind),
                request->tty ? "yes" : "no");
    if (request->command)
        add_quoted(line, "command", request->command, COMMAND_MAX);
    if (container)
        text_printf(line, " container=%s", container);
    if (policy)
        add_quoted(line, "image", policy->image, NAME_MAX_LOGGED);
}

static void send_line(int level, struct text *line)
{
    syslog(level, "%s", line->failed ? "out of memory" : text_str(line));
    text_free(line);
}

void audit_open(const struct request *request, const struct policy *policy, const char *container)
{
    struct text line = {0};

    add_common(&line, "open", request, policy, container);
    send_line(LOG_INFO, &line);
}

void audit_close(const struct request *request, const struct policy *policy, const char *container,
                 const struct audit_end *end)
{
    struct text line = {0};

    add_common(&line, "close", request, policy, container);
    text_printf(&line, " status=%d", end->status);
    if (end->signal)
        text_printf(&line, " signal=%s",
                    sigabbrev_np(end->signal) ? sigabbrev_np(end->signal) : "RT");
    text_printf(&line, " reason=%s", end->reason);
    if (end->detail)
        add_quoted(&line, "detail", end->detail, REASON_MAX);
    text_printf(&line, " duration=%lld.%03lld", end->ms / 1000, end->ms % 1000);
    if (end->in >= 0)
        text_printf(&line, " in=%lld out=%lld", end->in, end->out);
    send_line(end->detail ? LOG_ERR : LOG_INFO, &line);
}

void audit_deny(const struct request *request, const struct policy *policy, const char *reason)
{
    struct text line = {0};

    add_common(&line, "deny", request, policy, NULL);
    add_quoted(&line, "reason", reason, REASON_MAX);
    send_line(LOG_WARNING, &line);
}
