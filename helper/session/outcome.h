/* How a session ended: the helper's own exit status, what the user is told,
 * what the log says. */
#ifndef BERTH_SESSION_OUTCOME_H
#define BERTH_SESSION_OUTCOME_H

#include "channel/relay.h"
#include "policy/policy.h"

enum {
    OUTCOME_REFUSED = 254, /* berth's own failures; no usual command ends so */
};

/* A line "berth: ..." on stderr. */
void outcome_tell(const char *text);

/* The administrator's text on the user's terminal, as it is. */
void outcome_banner(const char *text);
/* The same for an administrator's file. As with pam_motd(8), one that can't be had is no
 * reason to refuse a login: the log has why. */
void outcome_motd(const char *path, const char *session);

/* What the user needs to hear, or NULL; the caller frees it. */

/* The engine started the container, and its init found no shell to run, or no room
 * for a process: the output is then init's complaint. */
char *outcome_no_command(const struct relay_result *result, const struct policy *policy);
/* sftp-server failed before it answered anything: with what it said. */
char *outcome_sftp(const struct relay_result *result, const struct policy *policy);

#endif
