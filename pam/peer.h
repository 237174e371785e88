/* Whether this process, sshd's monitor, has the connection that it is said to have. */
#ifndef BERTH_PAM_PEER_H
#define BERTH_PAM_PEER_H

#include <stdbool.h>

/* `peer` as SSH_CONNECTION: "192.0.2.7 50022 192.0.2.1 22". The kernel is asked, for the
 * variable stands where ~/.pam_environment may have put another one in its place. */
bool peer_is_ours(const char *peer);

#endif
