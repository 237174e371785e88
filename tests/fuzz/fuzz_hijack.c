/* The engine's reply to who wants a connection of his own, and the stream behind it, in any
 * pieces: what is taken for the stream is each of its bytes, and nothing but it. */
#include "config.h"

#include "claim.h"

#include "base/text.h"
#include "engine/frames.h"
#include "engine/upgrade.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The bytes in front of the stream where the reply gives one, else 0. */
static size_t head_length(const uint8_t *data, size_t size)
{
    static const char empty_line[] = "\r\n\r\n";
    size_t most = size < UPGRADE_MAX ? size : UPGRADE_MAX;
    const uint8_t *end = memmem(data, most, empty_line, 4);

    if (!end || end - data < 12 || memcmp(data, "HTTP/1.", 7) != 0 || !isdigit(data[7]) ||
        memcmp(data + 8, " 101", 4) != 0 || (data[12] != ' ' && data[12] != '\r'))
        return 0;
    return (size_t)(end - data) + 4;
}

/* As frames: any bytes may stand there, and none is passed over. */
static void demux(const struct text *stream)
{
    struct frames f = {0};
    size_t payload;

    for (size_t at = 0; at < stream->len;) {
        int eaten = frames_next(&f, (const unsigned char *)stream->data + at, stream->len - at,
                                &payload);
        if (eaten < 0)
            return;
        at += (size_t)eaten + payload;
        claim(eaten + payload > 0 && at <= stream->len);
        frames_taken(&f, payload);
    }
}

/* upgrade_came's answer, and what it has given of the stream. */
static int feed(const uint8_t *data, size_t size, size_t piece, struct text *stream)
{
    struct upgrade *u = calloc(1, sizeof *u);
    cleanup_error struct error *err = NULL;
    char taken[7];
    size_t at = 0, n;
    int rc = 0;

    if (!u)
        return 0;
    while (rc == 0 && at < size) {
        size_t room = sizeof u->bytes - u->end;
        n = size - at < piece ? size - at : piece;
        n = n < room ? n : room;
        claim(n > 0);
        memcpy(u->bytes + u->end, data + at, n);
        at += n;
        rc = upgrade_came(u, n, &err);
        claim((rc < 0) == (err != NULL));
    }
    while (rc == 1 && (n = upgrade_take(u, taken, sizeof taken)) > 0)
        text_add(stream, taken, n);
    if (rc == 1)
        text_add(stream, (const char *)data + at, size - at);
    free(u);
    return rc;
}

/* The first byte says how long the pieces are. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    cleanup_text struct text whole = {0}, pieces = {0};

    if (size < 1)
        return 0;
    size_t piece = (size_t)data[0] + 1;
    data++;
    size--;
    size_t head = head_length(data, size);
    int rc = feed(data, size, size, &whole);
    claim(feed(data, size, piece, &pieces) == rc && (rc == 1) == (head > 0));
    if (rc != 1)
        return 0;
    claim(whole.len == size - head && pieces.len == size - head);
    claim(memcmp(text_str(&whole), data + head, whole.len) == 0);
    claim(memcmp(text_str(&pieces), data + head, whole.len) == 0);
    demux(&whole);
    return 0;
}
