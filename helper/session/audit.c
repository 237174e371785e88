#include "config.h"

#include "session/audit.h"

#include "session/lease.h"

#include <stdlib.h>
#include <string.h>
#include <syslog.h>

/* A log line of over 1 KiB is cut by some syslog daemons (RFC 3164's limit). */
enum { COMMAND_MAX = 400, REASON_MAX = 400, NAME_MAX_LOGGED = 200, SFTP_MAX = 700 };

/* key=value pairs, or the same as one JSON object. */
struct line {
    struct text text;
    bool json;
};

static void add_key(struct line *line, const char *key)
{
    text_puts(&line->text, line->json ? ",\"" : " ");
    text_puts(&line->text, key);
    text_puts(&line->text, line->json ? "\":" : "=");
}

/* What a client had no say in. */
static void add_word(struct line *line, const char *key, const char *value)
{
    add_key(line, key);
    if (line->json)
        text_json(&line->text, value, NAME_MAX_LOGGED);
    else
        text_puts(&line->text, value);
}

static void add_number(struct line *line, const char *key, long long value)
{
    add_key(line, key);
    text_printf(&line->text, "%lld", value);
}

static void add_bool(struct line *line, const char *key, bool value)
{
    add_key(line, key);
    if (line->json)
        text_puts(&line->text, value ? "true" : "false");
    else
        text_puts(&line->text, value ? "yes" : "no");
}

static void add_quoted(struct line *line, const char *key, const char *value, size_t most)
{
    add_key(line, key);
    if (line->json) {
        text_json(&line->text, value, most);
        return;
    }
    text_puts(&line->text, "\"");
    text_escape(&line->text, value, most);
    text_puts(&line->text, "\"");
}

static void begin_line(struct line *line, bool json, const char *event)
{
    *line = (struct line){.json = json};
    text_printf(&line->text, json ? "{\"event\":\"%s\"" : "%s", event);
}

static void add_common(struct line *line, const char *event, const struct request *request,
                       const struct policy *policy, const char *container)
{
    /* Before there is a policy nobody has asked for JSON. */
    begin_line(line, policy && policy->audit_format == AUDIT_JSON, event);
    add_word(line, "session", request->session);
    if (request->account.name)
        add_quoted(line, "user", request->account.name, NAME_MAX_LOGGED);
    add_number(line, "uid", request->account.uid);
    if (request->monitor > 0)
        add_number(line, "sshd", request->monitor);
    if (request->vouched.id[0])
        add_word(line, "connection", request->vouched.id);
    if (request->key[0])
        add_word(line, "key", request->key);
    add_word(line, "client", request->client);
    if (line->json)
        add_number(line, "port", strtoll(request->port, NULL, 10));
    else
        add_word(line, "port", request->port);
    add_word(line, "kind", request_kind_name(request->kind));
    add_bool(line, "tty", request->tty);
    if (request->agent[0])
        add_bool(line, "agent", true);
    if (request->display[0])
        add_bool(line, "x11", true);
    if (request->command)
        add_quoted(line, "command", request->command, COMMAND_MAX);
    if (container)
        add_word(line, "container", container);
    if (policy)
        add_quoted(line, "image", policy->image, NAME_MAX_LOGGED);
}

static void send_line(int level, struct line *line)
{
    if (line->json)
        text_puts(&line->text, "}");
    syslog(level, "%s", line->text.failed ? "out of memory" : text_str(&line->text));
    text_free(&line->text);
}

void audit_open(const struct request *request, const struct policy *policy, const char *container)
{
    struct line line;

    add_common(&line, "open", request, policy, container);
    send_line(LOG_INFO, &line);
}

void audit_close(const struct request *request, const struct policy *policy, const char *container,
                 const struct audit_end *end)
{
    struct line line;

    add_common(&line, "close", request, policy, container);
    add_number(&line, "status", end->status);
    if (end->signal)
        add_word(&line, "signal", sigabbrev_np(end->signal) ? sigabbrev_np(end->signal) : "RT");
    add_word(&line, "reason", end->reason);
    if (end->detail)
        add_quoted(&line, "detail", end->detail, REASON_MAX);
    add_key(&line, "duration");
    text_printf(&line.text, "%lld.%03lld", end->ms / 1000, end->ms % 1000);
    if (end->in >= 0) {
        add_number(&line, "in", end->in);
        add_number(&line, "out", end->out);
    }
    send_line(end->detail ? LOG_ERR : LOG_INFO, &line);
}

void audit_deny(const struct request *request, const struct policy *policy, const char *cause,
                const char *reason)
{
    struct line line;

    add_common(&line, "deny", request, policy, NULL);
    add_word(&line, "cause", cause);
    add_quoted(&line, "reason", reason, REASON_MAX);
    send_line(LOG_WARNING, &line);
}

static void begin_sftp(struct line *line, const char *event, const struct request *request,
                       const struct policy *policy)
{
    begin_line(line, policy->audit_format == AUDIT_JSON, event);
    add_word(line, "session", request->session);
    add_quoted(line, "user", request->account.name, NAME_MAX_LOGGED);
    add_number(line, "uid", request->account.uid);
}

void audit_sftp(const struct request *request, const struct policy *policy, const char *record,
                size_t len)
{
    struct line line;
    cleanup_string char *said = strndup(record, len);

    begin_sftp(&line, "sftp", request, policy);
    add_quoted(&line, "said", said ? said : "out of memory", SFTP_MAX);
    send_line(LOG_INFO, &line);
}

void audit_sftp_cut(const struct request *request, const struct policy *policy, long long lines)
{
    struct line line;

    begin_sftp(&line, "sftp-cut", request, policy);
    add_number(&line, "lines", lines);
    send_line(LOG_WARNING, &line);
}

static void add_visit(struct line *line, const char *event, enum audit_format format,
                      const struct audit_visit *v)
{
    begin_line(line, format == AUDIT_JSON, event);
    add_word(line, "session", v->key);
    add_word(line, "container", v->container);
    add_quoted(line, "user", v->account->name, NAME_MAX_LOGGED);
    add_number(line, "uid", v->account->uid);
    add_quoted(line, "by", v->by, NAME_MAX_LOGGED);
    add_number(line, "by_uid", v->by_uid);
    add_bool(line, "as_root", v->as_root);
    add_bool(line, "tty", v->tty);
}

void audit_enter(enum audit_format format, const struct audit_visit *visit)
{
    struct line line;

    add_visit(&line, "enter", format, visit);
    if (visit->command[0])
        add_quoted(&line, "command", visit->command, COMMAND_MAX);
    send_line(LOG_NOTICE, &line);
}

void audit_leave(enum audit_format format, const struct audit_visit *visit, int status,
                 const char *reason)
{
    struct line line;

    add_visit(&line, "leave", format, visit);
    add_number(&line, "status", status);
    add_word(&line, "reason", reason);
    send_line(LOG_NOTICE, &line);
}

void audit_kill(enum audit_format format, const struct audit_kill *kill)
{
    struct line line;

    begin_line(&line, format == AUDIT_JSON, "kill");
    /* It stands there without quotes: with a blank in it, it would say what comes next. */
    add_word(&line, "session", lease_is_key(kill->session) ? kill->session : "unknown");
    add_quoted(&line, "user", kill->user, NAME_MAX_LOGGED);
    add_number(&line, "uid", kill->uid);
    add_number(&line, "pid", kill->pid);
    send_line(LOG_NOTICE, &line);
}

void audit_reap(enum audit_format format, const struct audit_reap *reap)
{
    struct line line;

    begin_line(&line, format == AUDIT_JSON, "reap");
    add_word(&line, "container", reap->container);
    add_quoted(&line, "user", reap->user, NAME_MAX_LOGGED);
    add_number(&line, "uid", reap->uid);
    add_quoted(&line, "reason", reap->reason, REASON_MAX);
    send_line(LOG_NOTICE, &line);
}
