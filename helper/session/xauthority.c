#include "config.h"

#include "session/xauthority.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#define COOKIE_NAME "MIT-MAGIC-COOKIE-1"

enum { FAMILY_WILD = 0xffff };

struct field {
    const unsigned char *data;
    size_t len;
};

struct reading {
    const unsigned char *data;
    size_t len;
};

static bool take_number(struct reading *r, size_t *number)
{
    if (r->len < 2)
        return false;
    *number = (size_t)r->data[0] << 8 | r->data[1];
    r->data += 2;
    r->len -= 2;
    return true;
}

static bool take_field(struct reading *r, struct field *field)
{
    if (!take_number(r, &field->len) || field->len > r->len)
        return false;
    field->data = r->data;
    r->data += field->len;
    r->len -= field->len;
    return true;
}

static bool is(const struct field *field, const char *text)
{
    return field->len == strlen(text) && memcmp(field->data, text, field->len) == 0;
}

int xauthority_find(struct cookie *cookie, unsigned number, const unsigned char *data, size_t len,
                    struct error **err)
{
    struct reading r = {data, len};
    char wanted[16];

    snprintf(wanted, sizeof wanted, "%u", number);
    while (r.len > 0) {
        struct field address, display, name, secret;
        size_t family;
        if (!take_number(&r, &family) || !take_field(&r, &address) || !take_field(&r, &display) ||
            !take_field(&r, &name) || !take_field(&r, &secret))
            return error_set(err, 0, "the file breaks off");
        if (!is(&display, wanted))
            continue;
        if (!is(&name, COOKIE_NAME) || secret.len == 0 || secret.len > sizeof cookie->bytes)
            return error_set(err, 0, "it is no " COOKIE_NAME);
        memcpy(cookie->bytes, secret.data, secret.len);
        cookie->len = secret.len;
        return 0;
    }
    return error_set(err, 0, "there is none for its display");
}

static unsigned char *put(unsigned char *to, const void *data, size_t len)
{
    *to++ = (unsigned char)(len >> 8);
    *to++ = (unsigned char)len;
    memcpy(to, data, len);
    return to + len;
}

size_t xauthority_write(unsigned char entry[XAUTHORITY_ENTRY_MAX], unsigned number,
                        const struct cookie *cookie)
{
    unsigned char *end = entry;
    char display[16];

    snprintf(display, sizeof display, "%u", number);
    *end++ = FAMILY_WILD >> 8;
    *end++ = FAMILY_WILD & 0xff;
    end = put(end, "", 0);
    end = put(end, display, strlen(display));
    end = put(end, COOKIE_NAME, strlen(COOKIE_NAME));
    end = put(end, cookie->bytes, cookie->len);
    return (size_t)(end - entry);
}
