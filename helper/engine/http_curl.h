/* What http.c and hijack.c share: a curl handle that leads to the engine. */
#ifndef BERTH_ENGINE_HTTP_CURL_H
#define BERTH_ENGINE_HTTP_CURL_H

#include "engine/http.h"
#include "engine/libcurl.h"

enum {
    CONNECT_TIMEOUT_MS = 5000,
    HTTP_URL_MAX = 8192,
};

/* A new easy handle with everything that concerns the connection set. */
CURL *http_curl_easy(const struct http *http, const char *path, struct error **err);
const struct libcurl *http_libcurl(const struct http *http);
bool http_is_tls(const struct http *http);
/* poll() on `fds[0..count)` and the watch; 1 when something came, 0 at the
 * timeout (-1: none), -1 with ERROR_ABANDONED or an error. */
int http_curl_poll(const struct http *http, struct pollfd *fds, size_t count, int timeout_ms,
                   struct error **err);

#endif
