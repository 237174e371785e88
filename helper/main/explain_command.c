#include "config.h"

#include "main/explain_command.h"

#include "base/text.h"
#include "main/command.h"
#include "session/explain.h"
#include "session/nss.h"

#include <json-c/json.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define NAME "explain"

enum { SHOWN_MAX = 4096 };

static const char usage[] =
    "Usage: berth explain [--config FILE] [--json] USER\n"
    "Says what a login of this user gets: each option of berth.conf with its value and\n"
    "the line that gave it, and what the engine would be asked to create.\n"
    "\n"
    "  --config FILE  the configuration [" BERTH_CONFIG "]\n"
    "  --json         one object in place of lines\n"
    "  --help         this text\n"
    "\n"
    "Exit status: 0; 1 where the user is unknown, not mapped, or berth.conf wrong; 2 usage.\n"
    "See berth(8), berth.conf(5).\n";

/* Adds the text in quotes. */
static void add_quoted(struct text *line, const char *s)
{
    text_puts(line, "\"");
    text_escape(line, s, SHOWN_MAX);
    text_puts(line, "\"");
}

static void add_origin(struct text *line, const char *config, const struct explained_value *v)
{
    if (v->line == 0) {
        text_puts(line, "built-in");
        return;
    }
    text_display(line, config, SHOWN_MAX);
    text_printf(line, ":%u", v->line);
    if (v->section[0])
        text_printf(line, " %s", v->section);
    if (v->title) {
        text_puts(line, " ");
        add_quoted(line, v->title);
    }
}

static void print_option(const struct explained_option *o, const char *config)
{
    for (size_t i = 0; i < o->count || i == 0; i++) {
        cleanup_text struct text line = {0};
        text_printf(&line, "%-17s ", i == 0 ? o->name : "");
        if (o->count == 0) {
            text_puts(&line, "-");
        } else {
            add_quoted(&line, o->values[i].text);
            text_puts(&line, "  # ");
            add_origin(&line, config, &o->values[i]);
        }
        puts(text_str(&line));
    }
}

static void print_who(const struct explanation *e, const struct person *person)
{
    cleanup_text struct text line = {0};

    text_display(&line, e->account->name, SHOWN_MAX);
    text_printf(&line, ": uid %u, gid %u, groups", (unsigned)e->account->uid,
                (unsigned)e->account->gid);
    for (size_t i = 0; i < person->groups.count; i++) {
        text_puts(&line, i ? ", " : " ");
        text_display(&line, person->groups.items[i], SHOWN_MAX);
    }
    text_puts(&line, "\nsections: defaults");
    for (size_t i = 0; i < e->section_count; i++) {
        const struct explained_section *s = &e->sections[i];
        text_printf(&line, ", %s ", s->kind);
        add_quoted(&line, s->title);
        if (!s->counts)
            text_puts(&line, " (left out: inherit = no)");
    }
    puts(text_str(&line));
}

static void print_lines(const struct explanation *e, const struct person *person,
                        const char *config)
{
    print_who(e, person);
    putchar('\n');
    for (size_t i = 0; i < e->option_count; i++)
        print_option(&e->options[i], config);
    if (!e->body) {
        puts("\nnothing is created: deny is set");
        return;
    }
    puts("\ncreate, for a shell without a terminal:");
    command_print_json(json_object_get(e->body));
}

static struct json_object *string_or_null(const char *s)
{
    return s ? json_object_new_string(s) : NULL;
}

static struct json_object *origin_json(const struct explained_value *v, const char *config)
{
    struct json_object *o = json_object_new_object();

    json_object_object_add(o, "builtin", json_object_new_boolean(v->line == 0));
    json_object_object_add(o, "file", v->line ? json_object_new_string(config) : NULL);
    json_object_object_add(o, "line", v->line ? json_object_new_int64(v->line) : NULL);
    json_object_object_add(o, "section",
                           string_or_null(v->line && v->section[0] ? v->section : NULL));
    json_object_object_add(o, "title", string_or_null(v->title));
    return o;
}

static struct json_object *option_json(const struct explained_option *option, const char *config)
{
    struct json_object *o = json_object_new_object(), *origins = json_object_new_array();
    struct json_object *values = option->list ? json_object_new_array() : NULL;

    for (size_t i = 0; i < option->count; i++) {
        struct json_object *text = json_object_new_string(option->values[i].text);
        if (option->list)
            json_object_array_add(values, text);
        else
            values = text;
        json_object_array_add(origins, origin_json(&option->values[i], config));
    }
    json_object_object_add(o, "value", values);
    json_object_object_add(o, "origin", origins);
    return o;
}

static struct json_object *sections_json(const struct explanation *e)
{
    struct json_object *list = json_object_new_array();

    for (size_t i = 0; i < e->section_count; i++) {
        struct json_object *o = json_object_new_object();
        json_object_object_add(o, "section", json_object_new_string(e->sections[i].kind));
        json_object_object_add(o, "title", json_object_new_string(e->sections[i].title));
        json_object_object_add(o, "counts", json_object_new_boolean(e->sections[i].counts));
        json_object_array_add(list, o);
    }
    return list;
}

static void print_json(const struct explanation *e, const struct person *person, const char *config)
{
    struct json_object *o = json_object_new_object(), *groups = json_object_new_array();
    struct json_object *options = json_object_new_object();

    for (size_t i = 0; i < person->groups.count; i++)
        json_object_array_add(groups, json_object_new_string(person->groups.items[i]));
    for (size_t i = 0; i < e->option_count; i++)
        json_object_object_add(options, e->options[i].name, option_json(&e->options[i], config));
    json_object_object_add(o, "user", json_object_new_string(e->account->name));
    json_object_object_add(o, "uid", json_object_new_int64(e->account->uid));
    json_object_object_add(o, "gid", json_object_new_int64(e->account->gid));
    json_object_object_add(o, "groups", groups);
    json_object_object_add(o, "sections", sections_json(e));
    json_object_object_add(o, "options", options);
    json_object_object_add(o, "create", json_object_get(e->body));
    command_print_json(o);
}

static int refuse(const struct error *err)
{
    command_say(NAME, error_text(err));
    return 1;
}

static int refuse_unmapped(const struct person *person, const char *config)
{
    cleanup_error struct error *err = NULL;
    cleanup_text struct text name = {0};

    text_escape(&name, person->account.name, 64);
    error_set(&err, 0,
              "no user or group section of %s matches \"%s\": his logins are refused; add "
              "user \"%s\" { } to it where they should not be",
              config, text_str(&name), text_str(&name));
    return refuse(err);
}

static int run(const char *config, const char *user, bool json)
{
    cleanup_error struct error *err = NULL;
    cleanup_person struct person person = {0};
    cleanup_explanation struct explanation e = {0};
    cleanup_nss struct nss nss = nss_open();

    if (nss_ask(&nss, &(struct nss_query){.name = user, .groups = true}, &person, &err) < 0 ||
        explanation_make(&e, config, &person.account, &err) < 0)
        return refuse(err);
    if (!e.mapped)
        return refuse_unmapped(&person, config);
    if (json)
        print_json(&e, &person, config);
    else
        print_lines(&e, &person, config);
    return command_finish(NAME, 0);
}

int explain_command(int argc, char **argv)
{
    static const struct command_usage how = {
        .command = NAME, .help = usage, .least = 1, .most = 1, .needs = "needs one USER"};
    const char *config = BERTH_CONFIG;
    bool json = false;
    const struct command_option options[] = {
        {"config", .value = &config}, {"json", .flag = &json}, {.name = NULL}};
    int status;

    return command_options(&how, options, argc, argv, &status) ? run(config, argv[optind], json)
                                                               : status;
}
