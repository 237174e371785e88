/* Which system calls a running session may make (seccomp(2)). The programs are made
 * when berth is built (filter_program.c): libseccomp in each session would cost a
 * third of a millisecond and 95 kB. */
#ifndef BERTH_SESSION_FILTER_H
#define BERTH_SESSION_FILTER_H

#include "base/error.h"

#include <stdbool.h>

/* What the session has yet to do. */
enum filter_way {
    FILTER_DIRECT,       /* only what is open already, and the log: stderr is ours */
    FILTER_DIRECT_BACK,  /* the same, and stderr's way back (channel/direct.h) */
    FILTER_ENGINE_HERE,  /* the engine's unix socket, and its processes in /proc */
    FILTER_ENGINE_THERE, /* TCP to it, and what resolving its name takes */
    FILTER_RELAY,        /* no session: connections are accepted, and bytes moved (forwarding.h) */
    FILTER_COUNT
};

/* For the whole process and for good; it must have set no_new_privs. A call that
 * nobody here makes and an attacker would is the process's end (SIGSYS), any other
 * that is not known fails with ENOSYS: the C library then makes do with an older
 * one. *there: the kernel knows such filters. */
int filter_install(enum filter_way way, bool *there, struct error **err);

#endif
