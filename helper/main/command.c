#include "config.h"

#include "main/command.h"

#include <getopt.h>
#include <json-c/json.h>
#include <stdio.h>

enum { USAGE = 2, OPTIONS_MAX = 16 };

void command_say(const char *command, const char *what)
{
    cleanup_text struct text line = {0};

    text_printf(&line, "berth %s: ", command);
    text_display(&line, what, 2000);
    fprintf(stderr, "%s\n", text_str(&line));
}

int command_misused(const char *command, const char *what)
{
    cleanup_text struct text line = {0};

    text_printf(&line, "%s: see berth %s --help", what, command);
    command_say(command, text_str(&line));
    return USAGE;
}

/* For getopt_long(3), which tells which one it was by its place in the list. */
static void list_options(struct option list[OPTIONS_MAX], const struct command_option *options)
{
    size_t count = 0;

    for (; count < OPTIONS_MAX - 2 && options[count].name; count++)
        list[count] = (struct option){.name = options[count].name,
                                      .has_arg = options[count].flag ? no_argument
                                                                     : required_argument,
                                      .val = 'o'};
    list[count] = (struct option){.name = "help", .val = 'h'};
    list[count + 1] = (struct option){0};
}

static int take_option(const struct command_option *option)
{
    if (option->flag)
        *option->flag = true;
    else if (option->value)
        *option->value = optarg;
    else
        return strings_add(option->values, optarg);
    return 0;
}

bool command_options(const struct command_usage *usage, const struct command_option *options,
                     int argc, char **argv, int *status)
{
    struct option list[OPTIONS_MAX];
    int got, which = 0;

    list_options(list, options);
    *status = 1;
    while ((got = getopt_long(argc, argv, "", list, &which)) == 'o')
        if (take_option(&options[which]) < 0)
            return false;
    if (got == 'h')
        *status = fputs(usage->help, stdout) < 0 || fflush(stdout) != 0;
    else if (got != -1)
        *status = command_misused(usage->command, "unknown option, or one without its value");
    else if (argc - optind < usage->least || argc - optind > usage->most)
        *status = command_misused(usage->command,
                                  usage->needs ? usage->needs : "takes no arguments");
    else
        return true;
    return false;
}

void command_print_json(struct json_object *o)
{
    const char *text = json_object_to_json_string_ext(o, JSON_C_TO_STRING_PRETTY |
                                                             JSON_C_TO_STRING_NOSLASHESCAPE);

    puts(text ? text : "null");
    json_object_put(o);
}

int command_finish(const char *command, int status)
{
    if (fflush(stdout) == 0 && !ferror(stdout))
        return status;
    command_say(command, "cannot write all of its output");
    return 1;
}
