/* What berth's commands share. */
#ifndef BERTH_MAIN_COMMAND_H
#define BERTH_MAIN_COMMAND_H

#include "base/text.h"

#include <json-c/json_types.h>
#include <stdbool.h>

/* "berth COMMAND: WHAT", a line on stderr; what comes from somebody hostile is shown
 * as such. */
void command_say(const char *command, const char *what);

/* One of them is set: the option's value goes to `value`, or is added to `values`;
 * `flag` is of one that takes none. */
struct command_option {
    const char *name; /* without its dashes; NULL ends a list */
    const char **value;
    struct strings *values;
    bool *flag;
};

struct command_usage {
    const char *command; /* "ps" */
    const char *help;
    /* What may stand beside the options, and what is said where something else does;
     * zeroed: nothing may. */
    int least, most;
    const char *needs; /* "needs a USER" */
};

/* Sets what the options say, and does what --help says; argv[optind] is then the first
 * of what stands beside them. False: all is done, and *status is the exit status. */
bool command_options(const struct command_usage *usage, const struct command_option *options,
                     int argc, char **argv, int *status);
/* Says what is wrong in how it was called, and where to read on: the exit status. */
int command_misused(const char *command, const char *what);

/* The object as stdout's whole content, and puts it. */
void command_print_json(struct json_object *o);

/* `status`, or 1 where stdout didn't take all that was said. */
int command_finish(const char *command, int status);

#endif
