/* RFC 4648. glibc's own is in libresolv, which every session would load for it. */
#ifndef BERTH_BASE_BASE64_H
#define BERTH_BASE_BASE64_H

#include <stddef.h>
#include <sys/types.h>

/* The alphabet for URLs (section 5), with padding; NUL-terminated, for the caller to
 * free. NULL when memory ran out. */
char *base64_url(const void *bytes, size_t len);

/* The usual alphabet (section 4), without padding. */
char *base64_bare(const void *bytes, size_t len);

/* Decodes the usual alphabet (section 4), padded, into `out`, which has room for
 * strlen(s) / 4 * 3 bytes. How many there are, or -1 for what isn't base64. */
ssize_t base64_decode(const char *s, unsigned char *out);

#endif
