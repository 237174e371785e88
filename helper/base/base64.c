#include "config.h"

#include "base/base64.h"

#include <stdlib.h>
#include <string.h>

#define DIGITS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"

static char *encode(const char digits[65], const void *bytes, size_t len)
{
    const unsigned char *in = bytes;
    char *out = malloc((len + 2) / 3 * 4 + 1), *at = out;

    if (!out)
        return NULL;
    for (size_t i = 0; i < len; i += 3) {
        size_t left = len - i;
        unsigned group = (unsigned)in[i] << 16 | (left > 1 ? (unsigned)in[i + 1] << 8 : 0) |
                         (left > 2 ? in[i + 2] : 0);
        *at++ = digits[group >> 18];
        *at++ = digits[group >> 12 & 63];
        *at++ = left > 1 ? digits[group >> 6 & 63] : '=';
        *at++ = left > 2 ? digits[group & 63] : '=';
    }
    *at = '\0';
    return out;
}

char *base64_url(const void *bytes, size_t len)
{
    return encode(DIGITS "-_", bytes, len);
}

char *base64_bare(const void *bytes, size_t len)
{
    char *out = encode(DIGITS "+/", bytes, len);

    if (out)
        out[strcspn(out, "=")] = '\0';
    return out;
}

static int value_of(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

ssize_t base64_decode(const char *s, unsigned char *out)
{
    size_t len = strlen(s), padding = 0, made = 0;

    if (len % 4 != 0)
        return -1;
    while (padding < 2 && padding < len && s[len - 1 - padding] == '=')
        padding++;
    for (size_t i = 0; i < len; i += 4) {
        unsigned group = 0;
        size_t digits = i + 4 == len ? 4 - padding : 4;
        for (size_t j = 0; j < 4; j++) {
            int value = j < digits ? value_of(s[i + j]) : 0;
            if (value < 0)
                return -1;
            group = group << 6 | (unsigned)value;
        }
        for (size_t j = 0; j + 1 < digits; j++)
            out[made++] = (unsigned char)(group >> (16 - 8 * j) & 0xff);
    }
    return (ssize_t)made;
}
