/* The client's agent (ssh -A) in the container: a socket for each session in the
 * container's folder, and beside them a link that stays and leads to the newest. */
#ifndef BERTH_SESSION_AGENT_H
#define BERTH_SESSION_AGENT_H

#include "base/error.h"

#include <stdbool.h>
#include <sys/types.h>

/* In the container's folder: the link, and what each other name begins with. */
#define AGENT_LINK   "agent"
#define AGENT_PREFIX AGENT_LINK "."

enum { AGENT_NAME_SIZE = 24, AGENT_SSHD_MAX = 4 };

/* Who may be at the other end of sshd's socket: sshd's child, which has begun to listen
 * there, is the parent, or has the login shell between. */
struct agent_sshd {
    pid_t pids[AGENT_SSHD_MAX];
    size_t count;
};
/* For the helper itself. */
void agent_sshd_find(struct agent_sshd *sshd);

/* "agent.SESSION" */
void agent_name(char name[AGENT_NAME_SIZE], const char *session);
/* Whether a name in a container's folder is one of these. */
bool agent_is_name(const char *name);

/* Opens what SSH_AUTH_SOCK named (O_PATH): a socket of this user's, and no link. Where
 * sshd set no such variable, it may be the client's word. */
int agent_find(const char *path, struct error **err);
/* Connects to it; what is returned doesn't block. Refused: one on which somebody else
 * listens. */
int agent_connect(int found, const struct agent_sshd *sshd, struct error **err);

/* Makes the session's socket in its container's folder and listens: mode 0666, since
 * the container's uid may be any; the folder is nobody else's to reach. From then on
 * the link leads there. */
int agent_listen(int folder, const char *session, struct error **err);
/* Takes it away; the link leads to the newest that is left, or is gone too. */
void agent_withdraw(int folder, const char *session);

#endif
