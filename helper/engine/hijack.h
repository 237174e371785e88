/* A connection that was HTTP and is a stream of bytes both ways after the
 * engine's 101 (Docker Engine API, "attach": connection hijacking). */
#ifndef BERTH_ENGINE_HIJACK_H
#define BERTH_ENGINE_HIJACK_H

#include "engine/http.h"

#include <sys/types.h>

struct hijack;

/* Connects, asks for the upgrade (with a body of JSON, or NULL) and waits for the
 * 101, watching as http_set_watch says. Nothing may be sent before: the engine
 * would drop it. */
struct hijack *hijack_open(struct http *http, const char *path, const char *body, long timeout_ms,
                           struct error **err);
void hijack_free(struct hijack *h);

/* For poll(). The descriptor never blocks. */
int hijack_fd(const struct hijack *h);
/* Bytes were read ahead: read without waiting for POLLIN. */
bool hijack_pending(const struct hijack *h);
/* As read(2) and send(2) on a socket that doesn't block: EAGAIN to wait for
 * POLLIN or POLLOUT, 0 at the end, EPIPE or ECONNRESET where the engine hung up. */
ssize_t hijack_read(struct hijack *h, void *buf, size_t size);
ssize_t hijack_write(struct hijack *h, const void *buf, size_t len);
/* As splice(2) from a pipe: the bytes go without a copy. EINVAL where that can't
 * be: over TLS, or where `fd` is no pipe. */
ssize_t hijack_splice(struct hijack *h, int fd, size_t most);
/* Half-close: the container's stdin ends, its output goes on. */
void hijack_shutdown_write(struct hijack *h);

#endif
