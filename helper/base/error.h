/* Errors as an out-param: the place that fails says why, each caller on the
 * way up says what was being done and to what. */
#ifndef BERTH_BASE_ERROR_H
#define BERTH_BASE_ERROR_H

#include <stdarg.h>

struct error;

/* What kind of failure, where a caller must act on it. */
enum error_kind {
    ERROR_OTHER,     /* text says it all */
    ERROR_NOT_FOUND, /* the thing named does not exist (HTTP 404, ENOENT) */
    ERROR_CONFLICT,  /* it exists already or is being removed (HTTP 409) */
    ERROR_LOST,      /* the peer went away or never answered */
    ERROR_SLOW,      /* the peer has not answered yet */
    ERROR_REFUSED,   /* the peer said no, in words for the user */
    ERROR_ABANDONED, /* the watch of a wait fired: the client is gone, a signal came */
};

/* Every function with `struct error **err` as its last parameter stores a new
 * error there on failure, owned by the caller; `err` itself may not be NULL,
 * `*err` must be NULL before. */

/* Stores an error and returns -1, so that a failing function can end with
 * `return error_set(...)`. `errnum`, where not 0, adds ": strerror". */
int error_set(struct error **err, int errnum, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
int error_set_kind(struct error **err, enum error_kind kind, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* Puts "context: " before the text that is there; returns -1. */
int error_wrap(struct error **err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* "config FILE:LINE: bad value", never NULL; valid until the error changes. */
const char *error_text(const struct error *err);
enum error_kind error_kind(const struct error *err);

/* Frees and resets to NULL; NULL inside is fine. */
void error_clear(struct error **err);

#define cleanup_error __attribute__((cleanup(error_clear)))

#endif
