#include "config.h"

#include "main/command.h"

#include "base/text.h"

#include <json-c/json.h>
#include <stdio.h>

void command_say(const char *command, const char *what)
{
    cleanup_text struct text line = {0};

    text_printf(&line, "berth %s: ", command);
    text_display(&line, what, 2000);
    fprintf(stderr, "%s\n", text_str(&line));
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
