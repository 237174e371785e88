/* sftp-server's own arguments: those of sshd's Subsystem line, and berth.conf's, which a
 * client that asks with others doesn't get around. */
#ifndef BERTH_SESSION_SFTP_ARGUMENTS_H
#define BERTH_SESSION_SFTP_ARGUMENTS_H

#include "base/text.h"
#include "policy/policy.h"

#include <stdbool.h>

/* Adds to `argv` what stands behind the first word of `asked` ("internal-sftp -f AUTH -l INFO
 * -u 0027"), as the policy lets it, and the policy's own: sftp_root, sftp_read_only,
 * umask. `logged`: what it does goes to its stderr, at the level that was asked for but no less
 * than INFO. -1 when memory ran out. */
int sftp_arguments(struct strings *argv, const struct policy *policy, const char *asked,
                   bool logged);

#endif
