/* HTTP to the engine, over its unix socket or TCP with TLS. The only file that
 * knows libcurl, with hijack.c and libcurl.c, which loads it. */
#ifndef BERTH_ENGINE_HTTP_H
#define BERTH_ENGINE_HTTP_H

#include "base/error.h"

#include <poll.h>
#include <stdbool.h>
#include <stddef.h>

struct http;
struct http_call;

/* Where the engine is. Strings are borrowed and must outlive the http. */
struct http_target {
    const char *socket; /* path of a unix socket, or NULL */
    const char *host;   /* "HOST:PORT", TLS */
    const char *tls_ca, *tls_cert, *tls_key;
};

/* What a blocking wait watches beside the engine. `fds` are polled as they
 * are; after each wake-up `check` is asked: not 0 abandons the call with
 * ERROR_ABANDONED. */
struct http_watch {
    struct pollfd *fds;
    size_t count;
    int (*check)(void *data);
    void *data;
};

enum {
    HTTP_POLL_MAX = 8,               /* slots that http_poll_fill may need */
    HTTP_BODY_MAX = 4 * 1024 * 1024, /* a longer reply is refused */
};

struct http *http_new(const struct http_target *target, struct error **err);
void http_free(struct http *http);

/* Every path from here on gets "/v" and this before it; "" for none. */
void http_set_version(struct http *http, const char *version);
const char *http_version(const struct http *http);

/* `watch` is borrowed; NULL ends watching. */
void http_set_watch(struct http *http, const struct http_watch *watch);

struct http_request {
    const char *method;    /* "POST" */
    const char *path;      /* "/containers/create?name=x", escaped by the caller */
    const char *body;      /* JSON text, or NULL */
    size_t body_len;       /* where it is no text: its bytes, of */
    const char *body_type; /* this type (Content-Type); else 0 and NULL */
    const char *header;    /* one more header line, or NULL */
    long timeout_ms;       /* for the whole call; 0: none */
    long idle_ms;          /* the call fails after so long without a byte; 0: never */
    /* Gets the body's bytes of a 2xx reply as they come, in place of keeping
     * them; not 0 ends the call with ERROR_OTHER. */
    int (*sink)(void *data, const char *bytes, size_t len);
    void *data;
};

/* Starts a call; http_perform or the poll functions drive it. Strings are
 * copied. NULL on failure. Free it with http_call_free at any time. */
struct http_call *http_start(struct http *http, const struct http_request *request,
                             struct error **err);
void http_call_free(struct http_call *call);

/* Done: the reply is whole, or the call failed. */
bool http_call_done(const struct http_call *call);
/* The reply's header is here: its status, else 0. */
long http_call_status(const struct http_call *call);
/* The body, NUL-terminated, never NULL. */
const char *http_call_body(const struct http_call *call, size_t *len);
/* Whether the reply has the header ("Api-Version"), and its value. */
bool http_call_header(const struct http_call *call, const char *name, char *value, size_t size);
/* 0 when the call is done and the engine answered 2xx or 304; else an error
 * that holds the engine's own message. 404 is ERROR_NOT_FOUND, 409
 * ERROR_CONFLICT, no answer ERROR_LOST. */
int http_call_result(struct http_call *call, struct error **err);

/* Waits until the call is done, watching; http_call_result's answer. */
int http_finish(struct http *http, struct http_call *call, struct error **err);
/* Waits until the reply's header is here. */
int http_await_header(struct http *http, struct http_call *call, long timeout_ms,
                      struct error **err);

/* For a caller's own poll loop: fills at most HTTP_POLL_MAX slots, returns how
 * many, and lowers *timeout_ms (-1: none) to what libcurl wants. */
size_t http_poll_fill(struct http *http, struct pollfd *fds, int *timeout_ms);
/* After poll(): moves the calls on. */
int http_poll_dispatch(struct http *http, struct error **err);

#endif
