#include "config.h"

#include "engine/upgrade.h"

#include <ctype.h>
#include <stdbool.h>
#include <string.h>

enum { SAID_MAX = 300 };

/* "HTTP/1.1 101 UPGRADED"; the words may be missing. */
static bool is_upgraded(const char *head)
{
    static const char version[] = "HTTP/1.", status[] = " 101";
    const char *minor = head + sizeof version - 1, *end = minor + sizeof status;

    return strncmp(head, version, sizeof version - 1) == 0 && isdigit((unsigned char)*minor) &&
           strncmp(minor + 1, status, sizeof status - 1) == 0 && (*end == ' ' || *end == '\r');
}

static int refuse(const struct upgrade *u, struct error **err)
{
    const char *head = u->bytes;
    size_t said = u->end - u->start;

    return error_set(err, 0, "wanted \"101 UPGRADED\", got \"%.*s\" %.*s",
                     (int)strcspn(head, "\r\n"), head, (int)(said < SAID_MAX ? said : SAID_MAX),
                     head + u->start);
}

int upgrade_came(struct upgrade *u, size_t len, struct error **err)
{
    static const char empty_line[] = "\r\n\r\n";
    const size_t skip = sizeof empty_line - 1;

    u->end += len;
    char *stop = memmem(u->bytes, u->end, empty_line, skip);
    if (stop) {
        u->start = (size_t)(stop - u->bytes) + skip;
        return is_upgraded(u->bytes) ? 1 : refuse(u, err);
    }
    if (u->end == sizeof u->bytes)
        return error_set(err, 0, "the reply's head is over %d bytes", UPGRADE_MAX);
    return 0;
}

size_t upgrade_take(struct upgrade *u, void *buf, size_t size)
{
    size_t there = u->end - u->start;

    if (size > there)
        size = there;
    memcpy(buf, u->bytes + u->start, size);
    u->start += size;
    return size;
}
