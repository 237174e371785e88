/* The engine's reply to who asks for a connection of his own (hijack.h), as it comes in,
 * in whatever pieces: its head, and behind it the first bytes of the stream. */
#ifndef BERTH_ENGINE_UPGRADE_H
#define BERTH_ENGINE_UPGRADE_H

#include "base/error.h"

#include <stddef.h>

enum { UPGRADE_MAX = 16 * 1024 };

/* Zeroed nothing has come. */
struct upgrade {
    char bytes[UPGRADE_MAX];
    size_t end;   /* so many have come, and the next ones go behind them */
    size_t start; /* and of those so many were taken: the head, then upgrade_take */
};

/* Looks whether the head is whole after `len` more have come. 1: it is, and the engine has
 * given the connection ("HTTP/1.1 101 UPGRADED"; RFC 9110, 7.8); 0: more must come, for which
 * there is room; -1: it hasn't, or the head has no end. */
int upgrade_came(struct upgrade *u, size_t len, struct error **err);

/* Takes at most `size` of the bytes that came behind the head; 0: there are no more. */
size_t upgrade_take(struct upgrade *u, void *buf, size_t size);

#endif
