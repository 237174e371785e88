/* What berth's commands share. */
#ifndef BERTH_MAIN_COMMAND_H
#define BERTH_MAIN_COMMAND_H

#include <json-c/json_types.h>

/* "berth COMMAND: WHAT", a line on stderr; what comes from somebody hostile is shown
 * as such. */
void command_say(const char *command, const char *what);

/* The object as stdout's whole content, and puts it. */
void command_print_json(struct json_object *o);

/* `status`, or 1 where stdout didn't take all that was said. */
int command_finish(const char *command, int status);

#endif
