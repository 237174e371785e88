/* The stream that the engine sends: any bytes, in any pieces. */
#include "config.h"

#include "engine/frames.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The first byte says how long the pieces are. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct frames f = {0};
    size_t at = 1, end = 1, total = 0;

    if (size < 1)
        return 0;
    size_t piece = (size_t)data[0] + 1;
    while (at < size) {
        size_t payload;
        end = end + piece < size ? end + piece : size;
        int eaten = frames_next(&f, data + at, end - at, &payload);
        if (eaten < 0)
            return 0;
        if ((size_t)eaten > end - at || payload > end - at - (size_t)eaten || payload > f.left)
            abort();
        at += (size_t)eaten + payload;
        total += payload;
        frames_taken(&f, payload);
    }
    if (total > size)
        abort();
    return 0;
}
