/* Between sshd's pipes and the container's, where a policy must see the flow: the
 * bytes go from pipe to pipe in the kernel (splice(2)), and are counted. */
#ifndef BERTH_CHANNEL_SPLICE_H
#define BERTH_CHANNEL_SPLICE_H

#include "channel/direct.h"

/* Before the session is confined. */
void splice_prepare(void);

/* direct_run for a session without a terminal whose pipes are `direct->pipes`.
 * *ended: the command has, and who had its outputs has closed them: as sshd waits
 * for them. */
int splice_run(struct direct *direct, struct client *client, struct relay_result *result,
               bool *ended, struct error **err);

#endif
