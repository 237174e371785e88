/* What of the file system, the network and other processes a process may still get
 * at (landlock(7)). By system calls: there is no library of it. */
#ifndef BERTH_SESSION_LANDLOCK_H
#define BERTH_SESSION_LANDLOCK_H

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>

enum { LANDLOCK_PORTS = 2 };

struct landlock {
    /* Files and folders with all below that can be opened for reading; those that
     * aren't there are passed over. Nothing else can be opened, run, made, removed
     * or renamed. */
    const char *const *readable;
    size_t readable_count;
    unsigned ports[LANDLOCK_PORTS]; /* TCP ports that can be connected to; 0: none */
};

/* For this process (its threads excepted) and for good; it must have set
 * no_new_privs. As much of it as the kernel knows: files since Linux 5.13, TCP since
 * 6.7, signals to other processes and abstract unix sockets since 6.12. *there:
 * files are. Descriptors that are open already, and unix sockets with a path, are
 * not its matter. */
int landlock_confine(const struct landlock *landlock, bool *there, struct error **err);

#endif
