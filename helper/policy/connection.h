/* What pam_berth, as root, says of an SSH connection: whose login it is, where a uid
 * has several names, and by what id the log knows it. A file for each in
 * RUNTIME/connections, named after the connection's addresses and ports: sshd sets
 * SSH_CONNECTION after all that a client or a home directory may say, so nobody finds
 * another one's file. */
#ifndef BERTH_POLICY_CONNECTION_H
#define BERTH_POLICY_CONNECTION_H

#include "base/error.h"

#include <stdbool.h>
#include <sys/types.h>

#define CONNECTION_FOLDER "connections"

enum {
    CONNECTION_ID_SIZE = 17,
    CONNECTION_PEER_SIZE = 160,
    CONNECTION_NAME_SIZE = 257,
    CONNECTION_CONTAINER_SIZE = 65,
};

struct connection {
    char id[CONNECTION_ID_SIZE];     /* 16 hex digits */
    char name[CONNECTION_NAME_SIZE]; /* the login's */
    uid_t uid;
    pid_t sshd;                      /* its monitor: the pid of sshd's own lines in the log */
    unsigned long long started;      /* process_started() of that */
    char peer[CONNECTION_PEER_SIZE]; /* SSH_CONNECTION: "192.0.2.7 50022 192.0.2.1 22" */
    /* The container in whose network sshd is (forwarding), by its first process, as this
     * machine counts, and its id; 0 and "": in none's. */
    pid_t network_pid;
    char network[CONNECTION_CONTAINER_SIZE];
};

/* For pam_berth: opens RUNTIME/connections, made where it isn't there. */
int connection_folder(const char *runtime_dir, struct error **err);
/* Writes the file, in place of one that an earlier connection with the same addresses
 * and ports left. Refused: a peer that has none (ERROR_NOT_FOUND), a name that no file
 * can carry. */
int connection_publish(int folder, const struct connection *connection, struct error **err);
/* Removes it, unless it is another one's by now. */
void connection_withdraw(int folder, const struct connection *connection);

/* What is vouched of the connection `peer`, for a process of `uid`. False: nothing, or
 * what stands there isn't root's, or its sshd is gone. */
bool connection_read(struct connection *connection, const char *runtime_dir, const char *peer,
                     uid_t uid);

/* The connection of this id, whose login has this uid. As root; false where there is none,
 * or its sshd is gone. */
bool connection_find(struct connection *connection, const char *runtime_dir, const char *id,
                     uid_t uid);

/* Whether the connection of this id is gone, or its sshd is. As root; false where it
 * can't be told. */
bool connection_is_over(const char *runtime_dir, const char *id);

/* Removes those whose sshd is gone: it was killed and couldn't; and what one that was
 * killed over the writing has left unnamed. As root. */
void connection_sweep(const char *runtime_dir);

#endif
