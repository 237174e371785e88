/* Talking to the guest, whose every word is hostile input. */
#ifndef BERTH_CHANNEL_GUEST_H
#define BERTH_CHANNEL_GUEST_H

#include "base/error.h"
#include "channel/client.h"
#include "protocol/message.h"
#include "protocol/stream.h"

#include <stdbool.h>
#include <sys/types.h>
#include <sys/un.h>

enum {
    /* For each answer of the guest's, and for what it is sent to be taken. */
    GUEST_ANSWER_MS = 10000,
};

/* The address of a socket in a folder, however long the folder's path is. */
void guest_address(struct sockaddr_un *at, int folder, const char *name);
/* Whether the peer is this process (unix(7), SO_PEERCRED). */
bool guest_is(int fd, pid_t pid);
/* Connects to the guest that listens in `folder` and is process `pid`. ERROR_LOST:
 * there is none (any more). */
int guest_connect(int folder, pid_t pid, struct client *client, struct error **err);

int guest_send(int fd, enum message_type type, const void *payload, size_t len, const int *fds,
               unsigned nfds, struct error **err);
/* Waits `wait_ms` for this message, watching the client; ERROR gives its words as ours.
 * The caller clears the message. ERROR_LOST where the guest is gone, ERROR_SLOW where
 * it hasn't answered: it may be awaited again. */
int guest_await(struct stream *stream, enum message_type type, int wait_ms, struct message *message,
                struct client *client, struct error **err);
/* Awaits HELLO: the versions that the guest speaks must have ours among them. */
int guest_hello(struct stream *stream, int wait_ms, struct client *client, struct error **err);
/* The words of an ERROR as an error; returns -1. */
int guest_error(const struct message *message, struct error **err);

#endif
