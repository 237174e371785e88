/* What sshd handed over, checked. */
#ifndef BERTH_SESSION_REQUEST_H
#define BERTH_SESSION_REQUEST_H

#include "base/error.h"
#include "base/text.h"
#include "policy/connection.h"
#include "policy/policy.h"

#include <stdbool.h>
#include <sys/ioctl.h>
#include <sys/types.h>

enum request_kind {
    REQUEST_SHELL,
    REQUEST_EXEC,
    REQUEST_SFTP,
    REQUEST_FORWARD, /* none: a connection that may forward (hold.h) */
};
enum { REQUEST_KINDS = REQUEST_FORWARD + 1 };

/* "SHA256:" and 43 digits. */
enum { REQUEST_KEY_SIZE = 64 };

struct request {
    struct account account;
    enum request_kind kind;
    char *command; /* SSH_ORIGINAL_COMMAND; NULL for a shell */
    bool tty;
    char *term;                 /* TERM, or NULL */
    char *connection;           /* SSH_CONNECTION, or NULL: not run by sshd */
    char client[64];            /* its first word, or "unknown" */
    char port[8];               /* its second, or "0" */
    struct strings env;         /* the whole environment as sshd gave it */
    char session[17];           /* 16 random hex digits */
    char agent[48];             /* the client's agent in the container (forwarding.h), or "" */
    char display[24];           /* DISPLAY in the container, or "" */
    char xauthority[48];        /* and XAUTHORITY */
    pid_t monitor;              /* sshd's, whose pid its own log has (monitor.h); 0: not known */
    char *ambiguous;            /* why the uid alone doesn't say who it is, or NULL */
    bool twin;                  /* another name has the same uid: nothing by uid is his alone */
    struct connection vouched;  /* what pam_berth says; its id is "" where it says nothing */
    char key[REQUEST_KEY_SIZE]; /* the public key's fingerprint, "" unknown */
};

/* berth-shell has put a "+" before each, so that no loader or library read it on the
 * way here; another one is none of the session's. */
void request_unmark(struct strings *env);
/* What the environment alone says: takes it over from `env` (NAME=value list, kept). */
int request_parse(struct request *request, struct strings *env, bool tty, struct error **err);
/* The same, and asks NSS for getuid()'s account (nss_alarm.h). Refused: a uid without an
 * account. Ambiguous: one that /etc/passwd gives two names; USER naming another account of
 * the same uid. */
int request_read(struct request *request, struct strings *env, struct error **err);
/* Asks what pam_berth vouches for in RUNTIME. 1: the account is another one of the same
 * uid by that; 0: it is the one that was read. Refused: an ambiguous one for which nothing
 * is vouched. */
int request_vouch(struct request *request, const char *runtime_dir, struct error **err);
void request_free(struct request *request);

/* The value of a variable, or NULL. */
const char *request_getenv(const struct request *request, const char *name);
/* Whether its command is the server that mosh(1) starts over ssh. */
bool request_is_mosh(const struct request *request);
/* "shell", "exec", "sftp" or "forward". */
const char *request_kind_name(enum request_kind kind);

#endif
