/* The log's lines, whatever the client, the container and users' files have put into them: each
 * is one line, of a bounded length, says exactly the keys that it is to say, and each value
 * reads back as what was put in, or as how that begins. */
#include "config.h"

#include "claim.h"

#include "session/audit.h"

#include <json-c/json.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { LINE_MOST = 2400, FIELDS = 4 };

static char line[LINE_MOST + 1];

/* In place of the C library's, whichever name a compiler calls it by (ld(1), --wrap). */
void __wrap_syslog(int level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void __wrap___syslog_chk(int level, int flag, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

__attribute__((format(printf, 1, 0))) static void keep(const char *fmt, va_list ap)
{
    int len = vsnprintf(line, sizeof line, fmt, ap);

    claim(len > 0 && (size_t)len < sizeof line);
}

void __wrap_syslog(int level, const char *fmt, ...)
{
    va_list ap;

    (void)level;
    va_start(ap, fmt);
    keep(fmt, ap);
    va_end(ap);
}

void __wrap___syslog_chk(int level, int flag, const char *fmt, ...)
{
    va_list ap;

    (void)level, (void)flag;
    va_start(ap, fmt);
    keep(fmt, ap);
    va_end(ap);
}

/* What a viewer would obey in place of showing it: text.c's list. */
static bool is_obeyed(unsigned c)
{
    return c < 0x20 || (c >= 0x7f && c < 0xa0) || c == 0x61c || (c >= 0x200b && c <= 0x200f) ||
           (c >= 0x2028 && c <= 0x202e) || (c >= 0x2060 && c <= 0x206f) || c == 0xfeff;
}

static void check_bytes(void)
{
    claim(utf8_valid(line, strlen(line)));
    for (const unsigned char *p = (const unsigned char *)line; *p;) {
        size_t n = *p < 0x80 ? 1 : *p < 0xe0 ? 2 : *p < 0xf0 ? 3 : 4;
        unsigned c = n == 1 ? *p : *p & (0x7fu >> n);
        for (size_t i = 1; i < n; i++)
            c = c << 6 | (p[i] & 0x3fu);
        claim(!is_obeyed(c));
        p += n;
    }
}

/* A value in quotes, from behind the first one; where it ends. */
static const char *read_quoted(const char *p, struct text *value)
{
    while (*p != '"') {
        claim(*p != '\0');
        if (*p != '\\') {
            text_add(value, p++, 1);
        } else if (p[1] == 'x') {
            char digits[3] = {p[2], p[2] ? p[3] : '\0', '\0'}, *end;
            char byte = (char)strtoul(digits, &end, 16);
            claim(end == digits + 2);
            text_add(value, &byte, 1);
            p += 4;
        } else {
            claim(p[1] == '"' || p[1] == '\\');
            text_add(value, p + 1, 1);
            p += 2;
        }
    }
    return p + 1;
}

/* What a key is to say; NULL: a word, which nobody hostile has a say in. */
struct wanted {
    const char *key, *value;
};

static void check_value(const char *seen, const char *wanted)
{
    size_t len = strlen(seen);

    if (strcmp(seen, wanted) == 0)
        return;
    claim(len > 3 && strcmp(seen + len - 3, "...") == 0 && len - 3 < strlen(wanted) &&
          strncmp(seen, wanted, len - 3) == 0);
}

static void check_text(const char *event, const struct wanted *wanted)
{
    size_t len = strlen(event);
    const char *p = line + len;

    claim(strncmp(line, event, len) == 0);
    for (; wanted->key; wanted++) {
        cleanup_text struct text value = {0};
        len = strlen(wanted->key);
        claim(p[0] == ' ' && strncmp(p + 1, wanted->key, len) == 0 && p[len + 1] == '=');
        p += len + 2;
        claim((*p == '"') == (wanted->value != NULL));
        if (wanted->value) {
            p = read_quoted(p + 1, &value);
            check_value(text_str(&value), wanted->value);
        } else {
            len = strcspn(p, " \"\\=");
            claim(len > 0);
            p += len;
        }
    }
    claim(*p == '\0');
}

static void check_json(const char *event, const struct wanted *wanted)
{
    struct json_tokener *strict = json_tokener_new();
    int count = 1;

    claim(strict != NULL);
    json_tokener_set_flags(strict, JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8);
    struct json_object *o = json_tokener_parse_ex(strict, line, (int)strlen(line) + 1);
    claim(json_object_is_type(o, json_type_object) &&
          strcmp(json_object_get_string(json_object_object_get(o, "event")), event) == 0);
    for (; wanted->key; wanted++, count++) {
        struct json_object *value = NULL;
        claim(json_object_object_get_ex(o, wanted->key, &value) && value);
        /* U+FFFD stands for what is no UTF-8. */
        if (wanted->value && utf8_valid(wanted->value, strlen(wanted->value)))
            check_value(json_object_get_string(value), wanted->value);
    }
    claim(json_object_object_length(o) == count);
    json_object_put(o);
    json_tokener_free(strict);
}

static void check_line(const char *event, enum audit_format format, const struct wanted *wanted)
{
    check_bytes();
    if (format == AUDIT_JSON)
        check_json(event, wanted);
    else
        check_text(event, wanted);
    line[0] = '\0';
}

/* Those that each line of a session begins with; the list goes on behind them. */
static size_t want_common(struct wanted *w, const struct request *r, const struct policy *p)
{
    static const char *const words[] = {"client", "port", "kind", "tty"};
    size_t n = 0;

    w[n++] = (struct wanted){"session", NULL};
    w[n++] = (struct wanted){"user", r->account.name};
    w[n++] = (struct wanted){"uid", NULL};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        w[n++] = (struct wanted){words[i], NULL};
    if (r->command)
        w[n++] = (struct wanted){"command", r->command};
    if (p)
        w[n++] = (struct wanted){"image", p->image};
    return n;
}

static void check_session(const struct request *r, const struct policy *p, const char *reason)
{
    const enum audit_format format = p->audit_format;
    struct wanted w[20] = {{.key = NULL}};
    const struct audit_end end = {
        .status = 254, .signal = 9, .reason = "error", .detail = reason, .ms = 1500, .in = 1};

    size_t n = want_common(w, r, p);
    audit_open(r, p, NULL);
    check_line("open", format, w);
    w[n++] = (struct wanted){"cause", NULL};
    w[n] = (struct wanted){"reason", reason};
    audit_deny(r, p, "policy", reason);
    check_line("deny", format, w);
    w[n - 1] = (struct wanted){"status", NULL};
    w[n++] = (struct wanted){"signal", NULL};
    w[n++] = (struct wanted){"reason", NULL};
    w[n++] = (struct wanted){"detail", reason};
    w[n++] = (struct wanted){"duration", NULL};
    w[n++] = (struct wanted){"in", NULL};
    w[n++] = (struct wanted){"out", NULL};
    audit_close(r, p, NULL, &end);
    check_line("close", format, w);
    /* Before there is a policy. */
    memset(w, 0, sizeof w);
    n = want_common(w, r, NULL);
    w[n++] = (struct wanted){"cause", NULL};
    w[n++] = (struct wanted){"reason", reason};
    audit_deny(r, NULL, "login", reason);
    check_line("deny", AUDIT_TEXT, w);
}

static void check_others(const struct request *r, const struct policy *p, char *const field[FIELDS])
{
    const enum audit_format format = p->audit_format;
    const struct wanted said[] = {
        {"session", NULL}, {"user", field[1]}, {"uid", NULL}, {"said", field[2]}, {NULL, NULL}};
    const struct wanted killed[] = {
        {"session", NULL}, {"user", field[3]}, {"uid", NULL}, {"pid", NULL}, {NULL, NULL}};
    const struct wanted removed[] = {
        {"container", NULL}, {"user", field[1]}, {"uid", NULL}, {"reason", field[2]}, {NULL, NULL}};
    const struct wanted entered[] = {
        {"session", NULL}, {"container", NULL}, {"user", field[1]},
        {"uid", NULL},     {"by", field[2]},    {"by_uid", NULL},
        {"as_root", NULL}, {"tty", NULL},       {field[3][0] ? "command" : NULL, field[3]},
        {NULL, NULL}};
    const struct audit_kill kill = {field[2], field[3], 2001, 4711};
    const struct audit_reap reap = {"berth-0-2001-user", field[1], field[2], 2001};
    const struct audit_visit visit = {
        .account = &r->account,
        .container = "berth-0-2001-user",
        .key = "user",
        .by = field[2],
        .command = field[3],
    };

    audit_sftp(r, p, field[2], strlen(field[2]));
    check_line("sftp", format, said);
    audit_kill(format, &kill);
    check_line("kill", format, killed);
    audit_reap(format, &reap);
    check_line("reap", format, removed);
    audit_enter(format, &visit);
    check_line("enter", format, entered);
}

/* The first byte says which format; then four texts, each one's end a NUL: a command, a
 * user's name, a reason, and another's name. The client's address comes of the second. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *field[FIELDS];
    struct strings env = {0};
    struct request request;
    struct error *err = NULL;

    if (size < 1)
        return 0;
    struct policy policy = {.audit_format = data[0] & 1 ? AUDIT_JSON : AUDIT_TEXT};
    data++;
    size--;
    for (size_t i = 0; i < FIELDS; i++) {
        size_t len = strnlen((const char *)data, size);
        field[i] = strndup((const char *)data, len);
        claim(field[i] != NULL);
        len += len < size;
        data += len;
        size -= len;
    }
    claim(strings_take(&env, text_format("SSH_ORIGINAL_COMMAND=%s", field[0])) == 0 &&
          strings_take(&env, text_format("SSH_CONNECTION=%s", field[1])) == 0 &&
          request_parse(&request, &env, false, &err) == 0);
    memcpy(request.session, "9f8e7d6c5b4a3921", 17);
    request.account.name = strdup(field[1]);
    policy.image = field[3];
    claim(request.account.name != NULL);
    check_session(&request, &policy, field[2]);
    check_others(&request, &policy, field);
    request_free(&request);
    for (size_t i = 0; i < FIELDS; i++)
        free(field[i]);
    return 0;
}
