/* One session in the guest: a connection of its helper, and the process that leads
 * it. It waits for nothing but the helper's taking of a few bytes. */
#ifndef BERTH_GUEST_SESSION_H
#define BERTH_GUEST_SESSION_H

#include "protocol/stream.h"

#include <stdbool.h>
#include <sys/resource.h>
#include <sys/types.h>

enum session_state {
    SESSION_WAITING,  /* for START */
    SESSION_STARTING, /* there is a process, which doesn't run its program yet */
    SESSION_RUNNING,
    SESSION_HANGING, /* the helper is gone: SIGHUP was sent, SIGKILL is due */
    SESSION_KILLING, /* until nothing of it is found any more */
    SESSION_DONE,
};

enum {
    SESSION_START_MS = 10000,  /* for a whole START to come */
    SESSION_SEND_MS = 200,     /* for a helper to take a message: its socket is all but empty */
    SESSION_LARGE = 64 * 1024, /* a START's bytes */
    SESSION_KILL_ROUNDS = 10,  /* what forks faster than it is killed */
    SESSION_KILL_ROUND_MS = 50,
};

/* What all sessions share. */
struct session_setting {
    struct rlimit files; /* RLIMIT_NOFILE as it was */
    char **environment;
    uint32_t grace; /* ms from SIGHUP to SIGKILL */
};

struct session {
    struct session *next;
    enum session_state state;
    int fd; /* the helper; -1 when it is gone */
    struct stream stream;
    int report;     /* from its process until execve; else -1 */
    int master;     /* until STARTED; else -1 */
    bool tty, warm; /* warm: START_WARM */
    pid_t pid;      /* its leader, which is the session's and process group's id too; 0: none */
    bool reaped;
    long long deadline; /* of its state; now_ms() */
    int rounds;         /* SESSION_KILLING */
    bool found;         /* in this round */
};

/* Takes `fd`, unless memory ran out: NULL. */
struct session *session_new(int fd);
void session_free(struct session *s);

/* Bytes of the helper, or its end. After it `report` may be there anew. */
void session_receive(struct session *s, const struct session_setting *setting);

/* The report has text or has ended. */
void session_reported(struct session *s, const struct session_setting *setting);

/* Its leader was reaped. */
void session_ended(struct session *s, int wait_status, const struct session_setting *setting);

/* Without a word to the helper. */
void session_hang_up(struct session *s, const struct session_setting *setting);

/* Says why to the helper, and ends a session that has no process. */
void session_refuse(struct session *s, const char *why);

/* Says to the helper why its session, of which SESSION_WAITING to SESSION_RUNNING can be ended,
 * is hung up soon; true where a process is to be. */
bool session_warn(const struct session *s, const char *why);

/* When it is to be looked at again; LLONG_MAX: never. */
long long session_deadline(const struct session *s);
/* Its deadline has passed. What is in SESSION_KILLING then, session_kill() does,
 * for all of them at once: a look at every process there is. */
void session_expire(struct session *s);
void session_kill(struct session *list);

#endif
