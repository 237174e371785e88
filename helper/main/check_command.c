#include "config.h"

#include "main/check_command.h"

#include "check/check.h"
#include "main/command.h"

#include <json-c/json.h>
#include <stdio.h>
#include <unistd.h>

#define NAME "check"

enum { SHOWN_MAX = 2000, USERS_SHOWN = 8 };

static const char usage[] =
    "Usage: berth check [--config FILE] [--json] [--user USER]...\n"
    "                   [--sshd-config FILE] [--pam-dir DIR]\n"
    "Looks for holes and faults around berth: berth.conf, the engine, installed files, and\n"
    "for each user that berth.conf maps the account, sshd's settings and the PAM stack. Each\n"
    "finding says why it matters and what mends it. Changes nothing. As root.\n"
    "\n"
    "  --config FILE       the configuration [" BERTH_CONFIG "]\n"
    "  --json              an object in place of lines\n"
    "  --user USER         only this one, also where no list has him (LDAP); more than once\n"
    "  --sshd-config FILE  in place of the one that sshd reads by itself\n"
    "  --pam-dir DIR       in place of /etc/pam.d\n"
    "  --help              this text\n"
    "\n"
    "Exit status: 0 with notes at most; 1 where there is a hole or a problem; 2 usage.\n"
    "See berth(8), SECURITY.md.\n";

/* What a terminal shows in colour. */
static const char *colour(enum severity severity, bool on)
{
    static const char *const colours[] = {"\033[36m", "\033[33m", "\033[1;31m"};

    return on ? colours[severity] : "";
}

static void add_users(struct text *out, const struct strings *users)
{
    for (size_t i = 0; i < users->count && i < USERS_SHOWN; i++) {
        text_puts(out, i ? ", " : "");
        text_display(out, users->items[i], 64);
    }
    if (users->count > USERS_SHOWN)
        text_printf(out, " and %zu more", users->count - USERS_SHOWN);
}

static void add_line(struct text *out, const char *label, const char *value)
{
    if (value[0] == '\0')
        return;
    text_printf(out, "         %s ", label);
    text_display(out, value, SHOWN_MAX);
    text_puts(out, "\n");
}

static void print_finding(const struct finding *f, bool coloured)
{
    cleanup_text struct text out = {0}, users = {0};

    text_printf(&out, "%s%-8s%s ", colour(f->severity, coloured),
                finding_severity_name(f->severity), coloured ? "\033[0m" : "");
    text_display(&out, f->what, SHOWN_MAX);
    text_printf(&out, " [%s]\n", f->id);
    add_users(&users, &f->users);
    add_line(&out, "for: ", text_str(&users));
    add_line(&out, "why: ", f->why);
    add_line(&out, "mend:", f->mend);
    fputs(text_str(&out), stdout);
}

static void print_lines(const struct check *check)
{
    const struct findings *f = &check->findings;
    bool coloured = isatty(1);

    for (size_t i = 0; i < f->count; i++)
        print_finding(&f->items[i], coloured);
    printf("%zu users looked at: %zu holes, %zu problems, %zu notes\n", check->seen.count,
           findings_counted(f, FINDING_HOLE), findings_counted(f, FINDING_PROBLEM),
           findings_counted(f, FINDING_NOTE));
}

static struct json_object *strings_json(const struct strings *strings)
{
    struct json_object *list = json_object_new_array();

    for (size_t i = 0; i < strings->count; i++)
        json_object_array_add(list, json_object_new_string(strings->items[i]));
    return list;
}

static void print_json(const struct check *check)
{
    struct json_object *o = json_object_new_object(), *list = json_object_new_array();

    for (size_t i = 0; i < check->findings.count; i++) {
        const struct finding *f = &check->findings.items[i];
        struct json_object *item = json_object_new_object();
        json_object_object_add(item, "severity",
                               json_object_new_string(finding_severity_name(f->severity)));
        json_object_object_add(item, "id", json_object_new_string(f->id));
        json_object_object_add(item, "what", json_object_new_string(f->what));
        json_object_object_add(item, "why", json_object_new_string(f->why));
        json_object_object_add(item, "mend", json_object_new_string(f->mend));
        json_object_object_add(item, "users", strings_json(&f->users));
        json_object_array_add(list, item);
    }
    json_object_object_add(o, "users", strings_json(&check->seen));
    json_object_object_add(o, "findings", list);
    command_print_json(o);
}

static int run(struct check *check, bool json)
{
    int status = 0;

    if (geteuid() != 0) {
        command_say(NAME, "must be run as root: it reads what only root may");
        return 1;
    }
    check_run(check);
    if (check->findings.failed) {
        command_say(NAME, "out of memory: not all was looked at");
        status = 1;
    }
    if (findings_counted(&check->findings, FINDING_HOLE) +
            findings_counted(&check->findings, FINDING_PROBLEM) >
        0)
        status = 1;
    if (json)
        print_json(check);
    else
        print_lines(check);
    return command_finish(NAME, status);
}

int check_command(int argc, char **argv)
{
    static const struct command_usage how = {.command = NAME, .help = usage};
    cleanup_strings struct strings users = {0};
    struct check check = {.config = BERTH_CONFIG, .pam_dir = "/etc/pam.d", .users = &users};
    bool json = false;
    const struct command_option options[] = {
        {"config", .value = &check.config},   {"json", .flag = &json},
        {"user", .values = &users},           {"sshd-config", .value = &check.sshd_config},
        {"pam-dir", .value = &check.pam_dir}, {.name = NULL}};
    int status;

    if (command_options(&how, options, argc, argv, &status))
        status = run(&check, json);
    check_free(&check);
    return status;
}
