/* SHA-256 (FIPS 180-4) of what is in memory. libcrypto would take longer to load than
 * a login may cost. */
#ifndef BERTH_BASE_SHA256_H
#define BERTH_BASE_SHA256_H

#include <stddef.h>

enum { SHA256_SIZE = 32 };

void sha256(const void *bytes, size_t len, unsigned char digest[SHA256_SIZE]);

#endif
