/* Connections that programs in the container make, carried on to sshd: to the
 * client's agent or display. Bytes are moved and not looked at. */
#ifndef BERTH_CHANNEL_FORWARD_H
#define BERTH_CHANNEL_FORWARD_H

#include <stdbool.h>
#include <stddef.h>

enum {
    FORWARD_MAX = 64, /* connections at once; who comes then waits in the listener's queue */
    FORWARD_BUFFER = 16 * 1024,
    FORWARD_LISTENERS_MAX = 2,
};

/* Runs until `broker`, a socket of SOCK_SEQPACKET, is closed at its other end, where
 * whoever may open connections gives one to sshd for each that has said its first
 * byte. `listeners` don't block. */
void forward_run(const int *listeners, size_t count, int broker);

/* The other end: takes a question, and says for which listener it is. False: the relay
 * is gone. */
bool forward_asked(int broker, size_t *listener);
/* The connection, which doesn't block, or -1: there is none. */
void forward_answer(int broker, int fd);

#endif
