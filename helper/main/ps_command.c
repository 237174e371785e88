#include "config.h"

#include "main/ps_command.h"

#include "base/text.h"
#include "main/command.h"
#include "main/roster.h"
#include "policy/policy.h"

#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static const char usage[] =
    "Usage: berth ps [--config FILE] [--user USER] [--json]\n"
    "Lists the sessions that are there now, the oldest first. As root.\n"
    "\n"
    "  --config FILE  the configuration [" BERTH_CONFIG "]\n"
    "  --user USER    only this user's: a name or a uid\n"
    "  --json         an array of objects in place of a table\n"
    "  --help         this text\n"
    "\n"
    "Exit status: 0; 1 where something could not be read, said on stderr; 2 usage.\n"
    "See berth(8).\n";

enum { COLUMNS = 8, CELL_MAX = 96 };

static const char *const scopes[] = {"session", "connection", "user"};

/* "2026-11-25T22:40:43+0100", or "-" for what is no time. */
static void time_text(char text[32], long long ms)
{
    time_t at = (time_t)(ms / 1000);
    struct tm tm;

    if (!localtime_r(&at, &tm) || tm.tm_year > 8099 || tm.tm_year < 70 ||
        strftime(text, 32, "%Y-%m-%dT%H:%M:%S%z", &tm) == 0)
        snprintf(text, 32, "-");
}

/* What a user wrote there may be anything. */
static char *shown(const char *s)
{
    struct text t = {0};

    text_display(&t, s[0] ? s : "-", CELL_MAX);
    return text_take(&t);
}

static void fill_row(const struct present *p, char *cells[COLUMNS])
{
    char since[32] = "-";

    cells[0] = shown(p->user);
    if (p->known)
        time_text(since, p->entry.since);
    cells[1] = shown(p->known ? p->entry.session : "?");
    cells[2] = strdup(since);
    cells[3] = strdup(p->known ? request_kind_name(p->entry.kind) : "?");
    cells[4] = strdup(!p->known ? "?" : p->entry.tty ? "yes" : "no");
    cells[5] = shown(p->known ? p->entry.client : "?");
    cells[6] = shown(p->known ? p->entry.container : "?");
    cells[7] = text_format("%d", (int)p->pid);
}

static void print_row(const char *const cells[COLUMNS], const size_t width[COLUMNS])
{
    for (size_t i = 0; i < COLUMNS - 1; i++)
        printf("%-*s  ", (int)width[i], cells[i] ? cells[i] : "");
    printf("%s\n", cells[COLUMNS - 1] ? cells[COLUMNS - 1] : "");
}

/* Each column as wide as what is in it. */
static int print_table(const struct roster *roster)
{
    static const char *const titles[COLUMNS] = {"USER", "SESSION", "SINCE",     "KIND",
                                                "TTY",  "CLIENT",  "CONTAINER", "PID"};
    size_t width[COLUMNS];
    char *(*rows)[COLUMNS] = calloc(roster->count + 1, sizeof *rows);

    if (!rows)
        return -1;
    for (size_t i = 0; i < COLUMNS; i++)
        width[i] = strlen(titles[i]);
    for (size_t row = 0; row < roster->count; row++) {
        fill_row(&roster->items[row], rows[row]);
        for (size_t i = 0; i < COLUMNS; i++)
            if (rows[row][i] && strlen(rows[row][i]) > width[i])
                width[i] = strlen(rows[row][i]);
    }
    print_row(titles, width);
    for (size_t row = 0; row < roster->count; row++) {
        print_row((const char *const *)rows[row], width);
        for (size_t i = 0; i < COLUMNS; i++)
            free(rows[row][i]);
    }
    free(rows);
    return 0;
}

static void add_text(struct json_object *o, const char *key, const char *value)
{
    cleanup_text struct text t = {0};

    text_display(&t, value, CELL_MAX * 3);
    json_object_object_add(o, key, json_object_new_string(text_str(&t)));
}

/* Of a session whose record can't be read only who has it is told. */
static struct json_object *object_of(const struct present *p)
{
    struct json_object *o = json_object_new_object();
    char since[32];

    add_text(o, "user", p->user);
    json_object_object_add(o, "uid", json_object_new_int64(p->uid));
    json_object_object_add(o, "pid", json_object_new_int64(p->pid));
    if (!p->known)
        return o;
    time_text(since, p->entry.since);
    add_text(o, "session", p->entry.session);
    add_text(o, "since", since);
    add_text(o, "state", p->entry.running ? "running" : "starting");
    add_text(o, "kind", request_kind_name(p->entry.kind));
    json_object_object_add(o, "tty", json_object_new_boolean(p->entry.tty));
    add_text(o, "client", p->entry.client);
    json_object_object_add(o, "port", json_object_new_int64(strtol(p->entry.port, NULL, 10)));
    add_text(o, "scope", scopes[p->entry.scope]);
    add_text(o, "channel", p->entry.direct ? "direct" : "attach");
    add_text(o, "container", p->entry.container);
    return o;
}

static int print_json(const struct roster *roster)
{
    struct json_object *list = json_object_new_array();

    for (size_t i = 0; i < roster->count; i++)
        json_object_array_add(list, object_of(&roster->items[i]));
    puts(json_object_to_json_string_ext(list,
                                        JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_NOSLASHESCAPE));
    json_object_put(list);
    return 0;
}

static int run(const char *config, const char *user, bool json)
{
    struct roster roster = {0};

    if (geteuid() != 0) {
        command_say("ps", "must be run as root: it reads the sessions of all users");
        return 1;
    }
    cleanup_policy struct policy *policy = roster_policy("ps", config);
    if (!policy)
        return 1;
    cleanup_nss struct nss nss = nss_open();
    const struct roster_query query = {
        .command = "ps", .runtime_dir = policy->runtime_dir, .nss = &nss, .user = user};
    if (roster_load(&roster, &query) < 0)
        return 1;
    int rc = json ? print_json(&roster) : print_table(&roster);
    bool failed = rc < 0 || roster.failed;
    roster_free(&roster);
    return command_finish("ps", failed ? 1 : 0);
}

int ps_command(int argc, char **argv)
{
    static const struct command_usage how = {.command = "ps", .help = usage};
    const char *config = BERTH_CONFIG, *user = NULL;
    bool json = false;
    const struct command_option options[] = {{"config", .value = &config},
                                             {"user", .value = &user},
                                             {"json", .flag = &json},
                                             {.name = NULL}};
    int status;

    return command_options(&how, options, argc, argv, &status) ? run(config, user, json) : status;
}
