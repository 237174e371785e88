/* A session's PTY: made here, in the container's own devpts, so that its name and
 * owner are right inside. */
#ifndef BERTH_GUEST_TERMINAL_H
#define BERTH_GUEST_TERMINAL_H

#include "protocol/start.h"

/* Opens a PTY with the session's modes and window size. -1 with errno; both are
 * the caller's, O_CLOEXEC. */
int terminal_open(const struct start *start, int *master, int *slave);

#endif
