/* Who is in: a user's living sessions, in RUNTIME/UID/sessions, and in RUNTIME/UID/holds the
 * connections that may forward (hold.h). Each has a slot, in
 * which it writes what is to be told of it, and which is its own as long as the
 * helper's lock is on it (slots.h). The file is the user's: what root reads there
 * is hostile, but for who holds a lock. */
#ifndef BERTH_SESSION_REGISTER_H
#define BERTH_SESSION_REGISTER_H

#include "base/error.h"
#include "policy/policy.h"
#include "session/identity.h"
#include "session/request.h"

#include <stdbool.h>
#include <sys/types.h>

enum {
    /* Of one user, whatever max_sessions says. */
    REGISTER_SLOTS = 4096,
    REGISTER_SLOT_SIZE = 512,
};

/* What is told of a session. */
struct session_entry {
    char session[17];
    char user[257];  /* the login's name */
    long long since; /* CLOCK_REALTIME, ms */
    enum request_kind kind;
    bool tty;
    enum scope scope;
    bool direct;  /* the channel */
    bool running; /* else it is being started */
    char client[64], port[8];
    char container[CONTAINER_NAME_SIZE];
};

/* A session's place; `fd` is -1 where it has none. */
struct registration {
    int fd;
    unsigned slot;
};

/* Takes a slot, where fewer than `most` (0: any number) sessions are there, in the
 * user's directory `dir`. 1, or 0 where there are that many; *held is how many others
 * there are. */
int register_join(struct registration *registration, int dir, long long most, unsigned *held,
                  struct error **err);
/* The same for a connection that may forward, of which as many may be there beside the
 * sessions. Its `session` is pam_berth's id of the connection. */
int register_join_hold(struct registration *registration, int dir, long long most, unsigned *held,
                       struct error **err);
/* Writes what is to be told, again where it has changed. */
int register_write(const struct registration *registration, const struct session_entry *entry,
                   struct error **err);
void register_leave(struct registration *registration);

/* One that lives, as `berth ps` sees it. */
struct registered {
    uid_t uid;
    pid_t pid;  /* who holds the slot; 0: another PID namespace's */
    bool known; /* `entry` is filled, with text that may be hostile */
    struct session_entry entry;
    int fd; /* the register, to ask again */
    unsigned slot;
    bool holds;              /* of a connection that may forward */
    const char *runtime_dir; /* borrowed */
};
typedef void register_visit(void *data, const struct registered *registered);

/* Visits all living sessions of this user, or of all users. A user without a register
 * has none. `failed` is told what can't be read. */
typedef void register_failed(void *data, const char *what);
struct register_reader {
    register_visit *visit;
    register_failed *failed;
    void *data;
};
void register_read(const char *runtime_dir, uid_t uid, const struct register_reader *reader);
int register_read_all(const char *runtime_dir, const struct register_reader *reader,
                      struct error **err);

/* What a slot's bytes say of `pid`, who holds it now; false: nothing, or of who had it before. */
bool register_read_slot(const unsigned char bytes[REGISTER_SLOT_SIZE], bool holds, pid_t pid,
                        struct session_entry *entry);

/* A pidfd of the session's helper: who holds the slot still, and has the user's uid; of a
 * connection its sshd's, as root has noted it (connection.h): its end is that of the
 * forwards. -1 where it is gone, or isn't what it seemed. */
int register_open_helper(const struct registered *registered, struct error **err);

#endif
