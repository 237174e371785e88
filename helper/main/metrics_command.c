#include "config.h"

#include "main/metrics_command.h"

#include "base/file.h"
#include "base/text.h"
#include "main/command.h"
#include "main/roster.h"
#include "policy/policy.h"
#include "session/lease.h"
#include "session/metrics.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char usage[] =
    "Usage: berth metrics [--config FILE] [--by-user] [--output FILE]\n"
    "Prints what berth counts, as OpenMetrics text. As root.\n"
    "\n"
    "  --config FILE  the configuration [" BERTH_CONFIG "]\n"
    "  --by-user      each user by himself, not all together\n"
    "  --output FILE  write FILE, whole or not at all, in place of stdout\n"
    "  --help         this text\n"
    "\n"
    "Exit status: 0; 1 where something could not be read or written, said on stderr;\n"
    "2 usage.\n"
    "See berth(8).\n";

enum { KINDS = REQUEST_KINDS };

/* One user's counts, or all users' together. */
struct row {
    char *user; /* NULL: all */
    uid_t uid;
    uint64_t now[KINDS], unknown;
    struct metrics_counts counts;
};

struct book {
    const char *runtime_dir;
    struct nss *nss;
    bool by_user, failed;
    struct row *rows;
    size_t count;
};

static void on_failed(void *data, const char *what)
{
    struct book *book = data;

    book->failed = true;
    command_say("metrics", what);
}

static struct row *row_of(struct book *book, uid_t uid)
{
    for (size_t i = 0; i < book->count; i++)
        if (!book->by_user || book->rows[i].uid == uid)
            return &book->rows[i];
    struct row *rows = realloc(book->rows, (book->count + 1) * sizeof *rows);
    if (!rows)
        return NULL;
    book->rows = rows;
    struct row *row = &rows[book->count++];
    *row = (struct row){.uid = uid};
    if (!book->by_user)
        return row;
    cleanup_person struct person person = {0};
    row->user = nss_try(book->nss, &(struct nss_query){.uid = uid}, &person, on_failed, book)
                    ? strdup(person.account.name)
                    : text_format("uid %u", (unsigned)uid);
    return row;
}

static void add_all(uint64_t *to, const uint64_t *from, size_t count)
{
    for (size_t i = 0; i < count; i++)
        to[i] += from[i];
}

static void on_user(void *data, uid_t uid)
{
    struct book *book = data;
    struct metrics_counts counts;
    cleanup_error struct error *err = NULL;
    struct row *row = row_of(book, uid);

    if (metrics_read(book->runtime_dir, uid, &counts, &err) < 0) {
        on_failed(book, error_text(err));
    } else if (row) {
        add_all((uint64_t *)&row->counts, (const uint64_t *)&counts,
                sizeof counts / sizeof(uint64_t));
    }
}

static void count_living(struct book *book, const struct roster *roster)
{
    for (size_t i = 0; i < roster->count; i++) {
        const struct present *p = &roster->items[i];
        struct row *row = row_of(book, p->uid);
        if (row && p->known)
            row->now[p->entry.kind]++;
        else if (row)
            row->unknown++;
    }
}

/* A label's value: `\`, `"` and newline escaped (OpenMetrics 1.0, ABNF); other controls
 * are no login's name. */
static void add_label_value(struct text *t, const char *value)
{
    cleanup_text struct text shown = {0};

    text_escape(&shown, value, 256);
    /* What it writes for a byte that can't be shown is `\xHH`, which here is a
     * backslash too many. */
    for (const char *s = text_str(&shown); *s; s++) {
        if (*s == '\\' && s[1] == 'x')
            text_puts(t, "\\");
        text_add(t, s, 1);
        if (*s == '\\' && s[1] != 'x')
            text_add(t, ++s, 1);
    }
}

/* name{user="...",key="value"} */
static void add_name(struct text *t, const struct row *row, const char *name, const char *key,
                     const char *value)
{
    text_puts(t, name);
    if (!row->user && !key)
        return;
    text_puts(t, "{");
    if (row->user) {
        text_puts(t, "user=\"");
        add_label_value(t, row->user);
        text_puts(t, key ? "\"," : "\"");
    }
    if (key)
        text_printf(t, "%s=\"%s\"", key, value);
    text_puts(t, "}");
}

static void add_count(struct text *t, const struct row *row, const char *name, const char *key,
                      const char *value, uint64_t number)
{
    add_name(t, row, name, key, value);
    text_printf(t, " %" PRIu64 "\n", number);
}

static void add_living(struct text *t, const struct book *book)
{
    text_puts(t, "# TYPE berth_sessions gauge\n"
                 "# HELP berth_sessions Sessions that are there now, by kind.\n");
    for (size_t i = 0; i < book->count; i++) {
        const struct row *row = &book->rows[i];
        for (int kind = 0; kind < KINDS; kind++)
            add_count(t, row, "berth_sessions", "kind", request_kind_name((enum request_kind)kind),
                      row->now[kind]);
        if (row->unknown > 0)
            add_count(t, row, "berth_sessions", "kind", "unknown", row->unknown);
    }
}

static void add_family(struct text *t, const struct book *book, const char *name, const char *key,
                       const char *const *values, bool outcomes)
{
    cleanup_string char *total = text_format("%s_total", name);

    for (size_t i = 0; total && i < book->count; i++) {
        const struct row *row = &book->rows[i];
        const uint64_t *counts = outcomes ? row->counts.outcome : row->counts.cause;
        for (size_t n = 0; values[n]; n++)
            add_count(t, row, total, key, values[n], counts[n]);
    }
}

/* "0.005", "1.0": as the standard wants them (OpenMetrics 1.0, "Considerations:
 * Canonical Numbers"). */
static void bound_text(char text[16], unsigned ms)
{
    int len = snprintf(text, 16, "%u.%03u", ms / 1000, ms % 1000);

    while (text[len - 1] == '0' && text[len - 2] != '.')
        text[--len] = '\0';
}

static void add_starts(struct text *t, const struct book *book)
{
    static const char name[] = "berth_session_start_seconds";

    text_printf(t,
                "# TYPE %s histogram\n# UNIT %s seconds\n"
                "# HELP %s From the helper's start to the command's.\n",
                name, name, name);
    for (size_t i = 0; i < book->count; i++) {
        const struct row *row = &book->rows[i];
        uint64_t sum = 0;
        size_t n = 0;
        for (; metrics_bounds[n]; n++) {
            char bound[16];
            bound_text(bound, metrics_bounds[n]);
            sum += row->counts.bucket[n];
            add_count(t, row, "berth_session_start_seconds_bucket", "le", bound, sum);
        }
        sum += row->counts.bucket[n];
        add_count(t, row, "berth_session_start_seconds_bucket", "le", "+Inf", sum);
        add_count(t, row, "berth_session_start_seconds_count", NULL, NULL, sum);
        add_name(t, row, "berth_session_start_seconds_sum", NULL, NULL);
        text_printf(t, " %" PRIu64 ".%03u\n", row->counts.start_ms / 1000,
                    (unsigned)(row->counts.start_ms % 1000));
    }
}

static void write_book(struct text *t, const struct book *book)
{
    add_living(t, book);
    text_puts(t, "# TYPE berth_sessions_ended counter\n"
                 "# HELP berth_sessions_ended Sessions that have ended, by how.\n");
    add_family(t, book, "berth_sessions_ended", "outcome", metrics_outcomes, true);
    text_puts(t, "# TYPE berth_refusals counter\n"
                 "# HELP berth_refusals Logins that came to no session, by why.\n");
    add_family(t, book, "berth_refusals", "cause", metrics_causes, false);
    add_starts(t, book);
    text_puts(t, "# EOF\n");
}

/* Beside it and then in its place: whoever reads it sees the old or the new. */
static int write_file(const char *path, const struct text *t, struct error **err)
{
    cleanup_string char *temporary = text_format("%s.%d.tmp", path, (int)getpid());
    cleanup_fd int fd = -1;

    if (!temporary)
        return error_set(err, ENOMEM, "%s", path);
    fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
    if (fd < 0)
        return error_set(err, errno, "%s: cannot make", temporary);
    ssize_t n = fchmod(fd, 0644) < 0 ? -1 : write(fd, text_str(t), t->len);
    if (n != (ssize_t)t->len || rename(temporary, path) < 0) {
        error_set(err, n >= 0 && n < (ssize_t)t->len ? ENOSPC : errno, "%s: cannot write", path);
        unlink(temporary);
        return -1;
    }
    return 0;
}

static int put_out(const char *output, const struct text *t)
{
    cleanup_error struct error *err = NULL;

    if (t->failed)
        error_set(&err, ENOMEM, "cannot make the text");
    else if (output)
        (void)write_file(output, t, &err);
    else if (fputs(text_str(t), stdout) < 0 || fflush(stdout) != 0)
        error_set(&err, errno, "cannot write it");
    if (err)
        command_say("metrics", error_text(err));
    return err ? -1 : 0;
}

static int run(const char *config, bool by_user, const char *output)
{
    cleanup_text struct text t = {0};
    cleanup_error struct error *err = NULL;
    struct roster roster = {0};

    if (geteuid() != 0) {
        command_say("metrics", "must be run as root: it reads what is counted of all users");
        return 1;
    }
    cleanup_policy struct policy *policy = roster_policy("metrics", config);
    if (!policy)
        return 1;
    cleanup_nss struct nss nss = nss_open();
    const struct roster_query query = {
        .command = "metrics", .runtime_dir = policy->runtime_dir, .nss = &nss};
    struct book book = {.runtime_dir = policy->runtime_dir, .nss = &nss, .by_user = by_user};
    if (roster_load(&roster, &query) < 0)
        return 1;
    /* Without any user there is a row of noughts. */
    if (!by_user)
        (void)row_of(&book, 0);
    count_living(&book, &roster);
    if (lease_each_user(policy->runtime_dir, on_user, &book, &err) < 0)
        on_failed(&book, error_text(err));
    write_book(&t, &book);
    bool failed = put_out(output, &t) < 0 || book.failed || roster.failed;
    for (size_t i = 0; i < book.count; i++)
        free(book.rows[i].user);
    free(book.rows);
    roster_free(&roster);
    return failed ? 1 : 0;
}

int metrics_command(int argc, char **argv)
{
    static const struct command_usage how = {.command = "metrics", .help = usage};
    const char *config = BERTH_CONFIG, *output = NULL;
    bool by_user = false;
    const struct command_option options[] = {{"config", .value = &config},
                                             {"by-user", .flag = &by_user},
                                             {"output", .value = &output},
                                             {.name = NULL}};
    int status;

    return command_options(&how, options, argc, argv, &status) ? run(config, by_user, output)
                                                               : status;
}
