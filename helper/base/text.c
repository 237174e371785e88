#include "config.h"

#include "base/text.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool text_reserve(struct text *t, size_t more)
{
    if (t->failed)
        return false;
    if (more >= SIZE_MAX / 2 - t->len) {
        t->failed = true;
        return false;
    }
    size_t need = t->len + more + 1;
    if (need <= t->size)
        return true;
    size_t size = t->size ? t->size : 256;
    while (size < need)
        size *= 2;
    char *data = realloc(t->data, size);
    if (!data) {
        t->failed = true;
        return false;
    }
    t->data = data;
    t->size = size;
    return true;
}

void text_add(struct text *t, const char *bytes, size_t len)
{
    if (!text_reserve(t, len))
        return;
    memcpy(t->data + t->len, bytes, len);
    t->len += len;
    t->data[t->len] = '\0';
}

void text_puts(struct text *t, const char *s)
{
    text_add(t, s, strlen(s));
}

void text_printf(struct text *t, const char *fmt, ...)
{
    va_list ap, again;

    if (!text_reserve(t, 0))
        return;
    va_start(ap, fmt);
    va_copy(again, ap);
    int len = vsnprintf(t->data + t->len, t->size - t->len, fmt, ap);
    va_end(ap);
    if (len < 0)
        t->failed = true;
    else if ((size_t)len >= t->size - t->len && text_reserve(t, (size_t)len))
        len = vsnprintf(t->data + t->len, t->size - t->len, fmt, again);
    va_end(again);
    if (t->failed)
        t->data[t->len] = '\0';
    else
        t->len += (size_t)len;
}

/* Length of the UTF-8 character that starts at `s`, 0 where none does. */
static size_t utf8_length(const unsigned char *s, size_t len)
{
    size_t n;
    unsigned min, c;

    if (s[0] < 0x80)
        return 1;
    if ((s[0] & 0xe0) == 0xc0) {
        n = 2, min = 0x80, c = s[0] & 0x1f;
    } else if ((s[0] & 0xf0) == 0xe0) {
        n = 3, min = 0x800, c = s[0] & 0x0f;
    } else if ((s[0] & 0xf8) == 0xf0) {
        n = 4, min = 0x10000, c = s[0] & 0x07;
    } else {
        return 0;
    }
    if (n > len)
        return 0;
    for (size_t i = 1; i < n; i++) {
        if ((s[i] & 0xc0) != 0x80)
            return 0;
        c = c << 6 | (s[i] & 0x3f);
    }
    if (c < min || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
        return 0;
    return n;
}

uint64_t text_hash(const char *s)
{
    uint64_t h = UINT64_C(0xcbf29ce484222325);

    for (; *s; s++)
        h = (h ^ (unsigned char)*s) * UINT64_C(0x100000001b3);
    return h;
}

bool utf8_valid(const char *s, size_t len)
{
    const unsigned char *p = (const unsigned char *)s;

    for (size_t i = 0; i < len;) {
        size_t n = utf8_length(p + i, len - i);
        if (n == 0)
            return false;
        i += n;
    }
    return true;
}

/* Valid UTF-8 that a viewer obeys instead of showing it: U+0080..U+009F are
 * terminal control characters; others turn the writing's direction (bidi), end a
 * line or are invisible (U+061C, U+200B..U+200F, U+2028..U+202E, U+2060..U+206F,
 * U+FEFF). */
static bool is_control(const unsigned char *p, size_t n)
{
    if (n == 1)
        return *p < 0x20 || *p == 0x7f;
    if (n == 2)
        return (p[0] == 0xc2 && p[1] < 0xa0) || (p[0] == 0xd8 && p[1] == 0x9c);
    if (n != 3)
        return false;
    if (p[0] == 0xe2 && p[1] == 0x80)
        return (p[2] >= 0x8b && p[2] <= 0x8f) || (p[2] >= 0xa8 && p[2] <= 0xae);
    return (p[0] == 0xe2 && p[1] == 0x81 && p[2] >= 0xa0 && p[2] <= 0xaf) ||
           (p[0] == 0xef && p[1] == 0xbb && p[2] == 0xbf);
}

/* What is being escaped, and how much of the result there is and may be. */
struct source {
    const unsigned char *p;
    size_t left, used, most;
};

static struct source source_of(const char *s, size_t most)
{
    return (struct source){.p = (const unsigned char *)s, .left = strlen(s), .most = most};
}

/* Adds `piece`, for `n` bytes of the source; false: there is no more room, which it tells. */
static bool add_piece(struct text *t, struct source *s, const char *piece, size_t len, size_t n)
{
    if (len > s->most - s->used) {
        text_puts(t, "...");
        return false;
    }
    text_add(t, piece, len);
    s->used += len;
    s->p += n;
    s->left -= n;
    return true;
}

/* Adds at one go what stands for itself wherever it stands. */
static void add_plain(struct text *t, struct source *s)
{
    size_t most = s->most - s->used, n = 0;

    while (n < s->left && n < most && s->p[n] >= 0x20 && s->p[n] < 0x7f && s->p[n] != '"' &&
           s->p[n] != '\\')
        n++;
    (void)add_piece(t, s, (const char *)s->p, n, n);
}

static void escape(struct text *t, const char *text, size_t most, bool quoted)
{
    struct source s = source_of(text, most);

    for (add_plain(t, &s); s.left > 0; add_plain(t, &s)) {
        char piece[8];
        size_t n = utf8_length(s.p, s.left), out;

        if (n == 0 || is_control(s.p, n)) {
            n = 1;
            out = (size_t)snprintf(piece, sizeof piece, "\\x%02x", *s.p);
        } else if (quoted && (*s.p == '"' || *s.p == '\\')) {
            piece[0] = '\\';
            piece[1] = (char)*s.p;
            out = 2;
        } else {
            memcpy(piece, s.p, n);
            out = n;
        }
        if (!add_piece(t, &s, piece, out, n))
            break;
    }
}

/* The code point of a character that utf8_length knows, of two or three bytes at most:
 * no longer one is a control. */
static unsigned code_point(const unsigned char *p, size_t n)
{
    if (n == 1)
        return *p;
    if (n == 2)
        return (p[0] & 0x1fu) << 6 | (p[1] & 0x3fu);
    return (p[0] & 0x0fu) << 12 | (p[1] & 0x3fu) << 6 | (p[2] & 0x3fu);
}

void text_json(struct text *t, const char *text, size_t most)
{
    struct source s = source_of(text, most);

    text_puts(t, "\"");
    for (add_plain(t, &s); s.left > 0; add_plain(t, &s)) {
        char piece[8];
        size_t n = utf8_length(s.p, s.left), out;

        if (n == 0) {
            n = 1;
            out = (size_t)snprintf(piece, sizeof piece, "\\ufffd");
        } else if (is_control(s.p, n)) {
            out = (size_t)snprintf(piece, sizeof piece, "\\u%04x", code_point(s.p, n));
        } else {
            out = 0;
            if (*s.p == '"' || *s.p == '\\')
                piece[out++] = '\\';
            memcpy(piece + out, s.p, n);
            out += n;
        }
        if (!add_piece(t, &s, piece, out, n))
            break;
    }
    text_puts(t, "\"");
}

void text_escape(struct text *t, const char *s, size_t most)
{
    escape(t, s, most, true);
}

void text_display(struct text *t, const char *s, size_t most)
{
    escape(t, s, most, false);
}

void text_add_percent(struct text *t, const char *s, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)s[i];
        bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                     c == '-' || c == '_' || c == '.' || c == '~';
        if (plain)
            text_add(t, s + i, 1);
        else
            text_printf(t, "%%%02X", c);
    }
}

const char *text_str(const struct text *t)
{
    return t->data ? t->data : "";
}

char *text_take(struct text *t)
{
    char *s = NULL;

    if (!t->failed)
        s = t->data ? t->data : strdup("");
    else
        free(t->data);
    *t = (struct text){0};
    return s;
}

void text_free(struct text *t)
{
    free(t->data);
    *t = (struct text){0};
}

char *text_format(const char *fmt, ...)
{
    va_list ap;
    char *s = NULL;

    va_start(ap, fmt);
    if (vasprintf(&s, fmt, ap) < 0)
        s = NULL;
    va_end(ap);
    return s;
}

int strings_take(struct strings *list, char *s)
{
    if (!s)
        return -1;
    char **items = realloc(list->items, (list->count + 2) * sizeof *items);
    if (!items) {
        free(s);
        return -1;
    }
    items[list->count++] = s;
    items[list->count] = NULL;
    list->items = items;
    return 0;
}

int strings_add(struct strings *list, const char *s)
{
    return strings_take(list, strdup(s));
}

void strings_free(struct strings *list)
{
    for (size_t i = 0; i < list->count; i++)
        free(list->items[i]);
    free(list->items);
    *list = (struct strings){0};
}

void free_string(char **s)
{
    free(*s);
    *s = NULL;
}
