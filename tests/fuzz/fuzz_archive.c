/* A file of a container's, in the archive that the engine makes of it: the container is
 * hostile, and so is each byte in it. */
#include "config.h"

#include "claim.h"

#include "engine/archive.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MOST = 1000 };

/* True where the entry is there and whole. */
static bool feed(struct archive_entry *entry, const uint8_t *data, size_t size, size_t piece)
{
    struct archive_reading r = {.entry = entry, .most = MOST};
    bool more = true;

    *entry = (struct archive_entry){0};
    for (size_t at = 0; more && at < size; at += piece) {
        size_t len = size - at < piece ? size - at : piece;
        /* Not one byte more, so that a read past the end is seen. */
        char *copy = malloc(len);
        claim(copy != NULL);
        memcpy(copy, data + at, len);
        more = archive_take(&r, copy, len) == 0;
        free(copy);
    }
    text_free(&r.head);
    claim(entry->content.len <= MOST && entry->mode <= 07777);
    claim(entry->type == ARCHIVE_LINK || !entry->link[0]);
    claim(entry->type == ARCHIVE_FILE || entry->content.len == 0);
    return r.found && r.left == 0 && !r.why;
}

/* The first byte says how long the pieces are. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct archive_entry whole, pieces;

    if (size < 1)
        return 0;
    size_t piece = (size_t)data[0] * 8 + 1;
    bool found = feed(&whole, data + 1, size - 1, size);
    claim(feed(&pieces, data + 1, size - 1, piece) == found && whole.type == pieces.type);
    claim(whole.mode == pieces.mode && strcmp(whole.link, pieces.link) == 0);
    claim(whole.content.len == pieces.content.len);
    claim(memcmp(text_str(&whole.content), text_str(&pieces.content), whole.content.len) == 0);
    text_free(&whole.content);
    text_free(&pieces.content);
    return 0;
}
