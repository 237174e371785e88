/* Between sshd's terminal and the one in the container: the client's is raw by
 * now, all line discipline is the inner one's. */
#ifndef BERTH_CHANNEL_PTY_H
#define BERTH_CHANNEL_PTY_H

#include "channel/direct.h"

/* direct_run for a session with a terminal. *ended: the command has, and what it
 * wrote has reached the client. */
int pty_run(struct direct *direct, struct client *client, struct relay_result *result, bool *ended,
            struct error **err);

#endif
