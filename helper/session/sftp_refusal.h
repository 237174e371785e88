/* Telling an sftp client no. sshd throws a subsystem's stderr away, so the
 * reason goes through the protocol (draft-ietf-secsh-filexfer-02): a version,
 * and the reason as the status of the client's first request. */
#ifndef BERTH_SESSION_SFTP_REFUSAL_H
#define BERTH_SESSION_SFTP_REFUSAL_H

/* Speaks on `in` and `out` for at most SFTP_REFUSAL_MS, until the client has
 * its answer, hangs up or sends what is no sftp. It may have sent its
 * SSH_FXP_INIT before; nothing may have been answered yet. */
enum { SFTP_REFUSAL_MS = 10000 };
void sftp_refuse(int in, int out, const char *reason);

#endif
