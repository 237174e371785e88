/* The module's arguments in its line of /etc/pam.d/sshd. pam_berth(8). */
#ifndef BERTH_PAM_ARGUMENTS_H
#define BERTH_PAM_ARGUMENTS_H

#include "base/error.h"

#include <stdbool.h>

struct arguments {
    const char *config; /* borrowed */
    const char *groups; /* "docker,berth-secrets", borrowed; NULL: none */
    bool forwarding;    /* sshd lets these logins forward: who may not has no network */
    bool debug;
};

/* -1 for one that there isn't, or that makes no sense: the others hold all the same. */
int arguments_read(struct arguments *arguments, int argc, const char **argv, struct error **err);

#endif
