/* The audit log: one line (authpriv) when a session opens, one when it closes
 * or is denied, and one for what an administrator does. key=value; text in quotes, escaped, so that
 * nobody's command can forge a line; or the same as a JSON object (audit_format). */
#ifndef BERTH_SESSION_AUDIT_H
#define BERTH_SESSION_AUDIT_H

#include "policy/policy.h"
#include "session/request.h"

/* `policy` and `container` may be NULL while they aren't known. */
void audit_open(const struct request *request, const struct policy *policy, const char *container);

struct audit_end {
    int status;         /* the helper's own */
    int signal;         /* that ended the command, or 0 */
    const char *reason; /* "exit", "client-gone", "error", "killed" */
    const char *detail; /* what the user was told, or NULL */
    long long ms;       /* how long it was */
    long long in, out;  /* bytes from and to the client; in below 0: they weren't seen */
};
void audit_close(const struct request *request, const struct policy *policy, const char *container,
                 const struct audit_end *end);
/* `cause` is a word for programs, `reason` is for people. */
void audit_deny(const struct request *request, const struct policy *policy, const char *cause,
                const char *reason);

/* What a session's sftp-server said that it did: `record` may hold anything. */
void audit_sftp(const struct request *request, const struct policy *policy, const char *record,
                size_t len);
/* So many of these were left out. */
void audit_sftp_cut(const struct request *request, const struct policy *policy, long long lines);

/* An administrator in a user's container (enter.h). */
struct audit_visit {
    const struct account *account; /* whose it is */
    const char *container;
    const char *key;  /* whose of his sessions' (lease.h) */
    const char *by;   /* the login name of who it is, "" unknown */
    long long by_uid; /* -1 unknown */
    bool as_root, tty;
    const char *command; /* "": a shell */
};
void audit_enter(enum audit_format format, const struct audit_visit *visit);
void audit_leave(enum audit_format format, const struct audit_visit *visit, int status,
                 const char *reason);

/* An administrator ends a session: its name is the user's word. */
struct audit_kill {
    const char *session, *user;
    uid_t uid;
    pid_t pid;
};
void audit_kill(enum audit_format format, const struct audit_kill *kill);

/* A container is removed that nobody needs any more. */
struct audit_reap {
    const char *container, *user, *reason;
    uid_t uid;
};
void audit_reap(enum audit_format format, const struct audit_reap *reap);

#endif
