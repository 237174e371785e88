/* Text that came from somebody hostile, and text that is made for somebody. */
#ifndef BERTH_BASE_TEXT_H
#define BERTH_BASE_TEXT_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A string that grows. Zeroed is empty. When memory runs out `failed` is set
 * and stays, so that a caller may check once, at the end. */
struct text {
    char *data; /* NUL-terminated; NULL while empty */
    size_t len;
    size_t size;
    bool failed;
};

void text_add(struct text *t, const char *bytes, size_t len);
void text_puts(struct text *t, const char *s);
void text_printf(struct text *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Adds `s` as a log may hold it: printable ASCII and valid UTF-8 as they are,
 * `"` and `\` with a `\` before them, every other byte as \xHH, at most `most`
 * bytes of the result and then "...". No quotes around it. */
void text_escape(struct text *t, const char *s, size_t most);
/* The same for a person's eyes: `"` and `\` stay as they are. */
void text_display(struct text *t, const char *s, size_t most);

/* Adds `s` as a JSON string (RFC 8259), quotes included: what text_escape escapes is a
 * \u00XX or the like here, a byte that is no UTF-8 U+FFFD. At most `most` bytes of the
 * result and then "...". */
void text_json(struct text *t, const char *s, size_t most);

/* Adds `s` with %XX for all but letters, digits and "-_.~" (RFC 3986, 2.3). */
void text_add_percent(struct text *t, const char *s, size_t len);

/* "" for an empty text. */
const char *text_str(const struct text *t);
/* Hands the string over (NULL when memory ran out) and leaves `t` empty. */
char *text_take(struct text *t);
void text_free(struct text *t);

#define cleanup_text __attribute__((cleanup(text_free)))

/* FNV-1a, 64 bits (RFC 9923): tells texts apart, proves nothing. */
uint64_t text_hash(const char *s);

/* RFC 3629: no overlong forms, no surrogates, nothing over U+10FFFF. */
bool utf8_valid(const char *s, size_t len);

/* asprintf that returns the string, or NULL when memory ran out. */
char *text_format(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* A NULL-terminated list of strings, all owned by it. Zeroed is empty. */
struct strings {
    char **items; /* items[count] == NULL; NULL while empty */
    size_t count;
};

/* Copies `s`; 0, or -1 when memory ran out. */
int strings_add(struct strings *list, const char *s);
/* Takes `s`, also when it fails; a NULL `s` fails. */
int strings_take(struct strings *list, char *s);
void strings_free(struct strings *list);

#define cleanup_strings __attribute__((cleanup(strings_free)))

void free_string(char **s);
#define cleanup_string __attribute__((cleanup(free_string)))

#endif
