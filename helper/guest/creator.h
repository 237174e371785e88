/* The guest's first talk, with the helper that created the container. */
#ifndef BERTH_GUEST_CREATOR_H
#define BERTH_GUEST_CREATOR_H

#include "base/error.h"
#include "protocol/message.h"

#include <stdbool.h>
#include <sys/types.h>

/* How long the creator may take to answer. */
enum { CREATOR_WAIT_MS = 30000 };

struct creator {
    int listener; /* bound by it, listening, not blocking */
    uid_t master; /* its uid: whose orders are taken */
    struct message_listen listen;
};

/* Whether the other end of a connection is outside this PID namespace: nobody in
 * the container is (unix(7), SO_PEERCRED: then pid is 0). Its uid in *uid. */
bool creator_outside(int fd, uid_t *uid);

/* Says which versions are spoken here. As message_send. */
int creator_hello(int fd, int wait_ms);

/* Connects, gets the socket and listens on it. */
int creator_meet(struct creator *c, struct error **err);

#endif
