#include "config.h"

#include "pam/arguments.h"

#include "base/text.h"

#include <string.h>

static const char *value_of(const char *argument, const char *name)
{
    size_t len = strlen(name);

    return strncmp(argument, name, len) == 0 ? argument + len : NULL;
}

static int argument_read(struct arguments *arguments, const char *argument, struct error **err)
{
    cleanup_text struct text shown = {0};
    const char *value;

    if ((value = value_of(argument, "config=")) && value[0] == '/') {
        arguments->config = value;
        return 0;
    }
    if ((value = value_of(argument, "groups=")) && value[0]) {
        arguments->groups = value;
        return 0;
    }
    if (strcmp(argument, "forwarding") == 0) {
        arguments->forwarding = true;
        return 0;
    }
    if (strcmp(argument, "debug") == 0) {
        arguments->debug = true;
        return 0;
    }
    text_escape(&shown, argument, 64);
    return error_set(err, 0,
                     "argument \"%s\" in /etc/pam.d: there are config=/FILE, groups=NAME,..., "
                     "forwarding and debug",
                     text_str(&shown));
}

int arguments_read(struct arguments *arguments, int argc, const char **argv, struct error **err)
{
    *arguments = (struct arguments){.config = BERTH_CONFIG};
    /* What stands behind one that isn't known counts all the same. */
    for (int i = 0; i < argc; i++) {
        cleanup_error struct error *another = NULL;
        (void)argument_read(arguments, argv[i], *err ? &another : err);
    }
    return *err ? -1 : 0;
}
