/* The file that sshd's xauth wrote of what the client said. */
#include "config.h"

#include "session/xauthority.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The first byte is the display. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    unsigned char entry[XAUTHORITY_ENTRY_MAX];
    struct cookie cookie, again;
    struct error *err = NULL;

    if (size < 1)
        return 0;
    if (xauthority_find(&cookie, data[0], data + 1, size - 1, &err) < 0) {
        error_clear(&err);
        return 0;
    }
    size_t len = xauthority_write(entry, data[0], &cookie);
    if (cookie.len == 0 || len > sizeof entry ||
        xauthority_find(&again, data[0], entry, len, &err) < 0 || again.len != cookie.len ||
        memcmp(again.bytes, cookie.bytes, cookie.len) != 0)
        abort();
    return 0;
}
