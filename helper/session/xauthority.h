/* The file by which X clients know their display's cookie, as libXau has it
 * (Xau(3), Xauth.h): for each display 2 bytes of family, then address, number, name and
 * data, each with 2 bytes of length before it, all of it big-endian. */
#ifndef BERTH_SESSION_XAUTHORITY_H
#define BERTH_SESSION_XAUTHORITY_H

#include "base/error.h"

#include <stddef.h>

enum {
    XAUTHORITY_MAX = 64 * 1024, /* of a file's bytes; sshd's sessions add some 50 each */
    XAUTHORITY_COOKIE_MAX = 64, /* clients make 16 */
    XAUTHORITY_ENTRY_MAX = 160, /* what xauthority_write makes */
};

struct cookie {
    unsigned char bytes[XAUTHORITY_COOKIE_MAX];
    size_t len;
};

/* The MIT-MAGIC-COOKIE-1 of display `number`, whatever host it is said to be on. What the
 * file holds is the client's to choose, name and data of the cookie above all. Refused:
 * none, one that is empty or too long, a file that breaks off before it. */
int xauthority_find(struct cookie *cookie, unsigned number, const unsigned char *data, size_t len,
                    struct error **err);
/* One entry for display `number` on whatever host asks; returns its length. */
size_t xauthority_write(unsigned char entry[XAUTHORITY_ENTRY_MAX], unsigned number,
                        const struct cookie *cookie);

#endif
