#include "config.h"

#include "policy/scrub.h"

#include "base/text.h"

#include <stdbool.h>
#include <string.h>

/* A section, and a list in it. */
#define DEPTH 2

struct scrub {
    const char *path;
    char *data;
    size_t len;
    size_t at;
    unsigned line;
    unsigned depth;       /* of braces */
    unsigned open[DEPTH]; /* the lines they stand in */
};

static char peek(const struct scrub *s, size_t ahead)
{
    return s->at + ahead < s->len ? s->data[s->at + ahead] : '\0';
}

static void step(struct scrub *s)
{
    if (s->data[s->at] == '\n')
        s->line++;
    s->at++;
}

static int variable_refused(const struct scrub *s, struct error **err)
{
    return error_set(err, 0,
                     "%s:%u: \"${\" outside of '...': variables are not expanded here, write "
                     "\"\\${\"",
                     s->path, s->line);
}

static void line_comment(struct scrub *s)
{
    while (s->at < s->len && s->data[s->at] != '\n')
        s->data[s->at++] = ' ';
}

static int block_comment(struct scrub *s, struct error **err)
{
    unsigned first = s->line;
    size_t end = s->at + 2;

    while (end + 1 < s->len && !(s->data[end] == '*' && s->data[end + 1] == '/'))
        end++;
    if (end + 1 >= s->len)
        return error_set(err, 0, "%s:%u: comment without an end: no \"*/\" follows", s->path,
                         first);
    for (end += 2; s->at < end; s->at++) {
        if (s->data[s->at] == '\n')
            s->line++;
        else
            s->data[s->at] = ' ';
    }
    return 0;
}

static int escape(struct scrub *s, struct error **err)
{
    char c = peek(s, 1);

    if (!c || !strchr("\"\\$nt\n", c)) {
        cleanup_text struct text shown = {0};
        char pair[3] = {'\\', c, '\0'};
        text_escape(&shown, pair, 8);
        return error_set(err, 0,
                         "%s:%u: unknown escape \"%s\": there are \\\" \\\\ \\$ \\n and \\t; "
                         "in '...' a backslash stands for itself",
                         s->path, s->line, text_str(&shown));
    }
    step(s);
    step(s);
    return 0;
}

static int quoted(struct scrub *s, struct error **err)
{
    char quote = s->data[s->at];
    unsigned first = s->line;

    for (step(s); s->at < s->len && s->data[s->at] != quote;) {
        /* A way of libconfuse's to reach into sections, by "user='bob'|image". */
        if (s->depth == 0 && strchr("|=", peek(s, 0)))
            return error_set(err, 0, "%s:%u: a \"%c\" cannot be in a string outside of sections",
                             s->path, s->line, peek(s, 0));
        if (quote == '"' && peek(s, 0) == '$' && peek(s, 1) == '{')
            return variable_refused(s, err);
        if (quote == '"' && peek(s, 0) == '\\') {
            if (escape(s, err) < 0)
                return -1;
            continue;
        }
        if (peek(s, 0) == '\\' && s->at + 1 < s->len)
            step(s);
        step(s);
    }
    if (s->at >= s->len || s->data[s->at] != quote)
        return error_set(err, 0, "%s:%u: string without an end: no %c follows", s->path, first,
                         quote);
    step(s);
    return 0;
}

/* An option's name, or a value without quotes. */
static int word(struct scrub *s, struct error **err)
{
    while (s->at < s->len && !strchr(" \t\n\r\"'{}()=,+#", s->data[s->at])) {
        char c = s->data[s->at];
        if (c == '$' && peek(s, 1) == '{')
            return variable_refused(s, err);
        /* libconfuse skips a "*", and "|" reaches into sections. */
        if (strchr("*|\\", c))
            return error_set(err, 0, "%s:%u: stray \"%s\": put the value in quotes", s->path,
                             s->line, c == '\\' ? "\\\\" : (char[]){c, '\0'});
        step(s);
    }
    return 0;
}

static int token(struct scrub *s, struct error **err)
{
    char c = peek(s, 0), next = peek(s, 1);

    if (c == '#' || (c == '/' && next == '/')) {
        line_comment(s);
        return 0;
    }
    if (c == '/' && next == '*')
        return block_comment(s, err);
    if (c == '"' || c == '\'')
        return quoted(s, err);
    if (c == '+' && next != '=')
        return error_set(err, 0, "%s:%u: stray \"+\": put the value in quotes", s->path, s->line);
    if (strchr(" \t\n\r{}()=,+", c)) {
        if (c == '{' && s->depth++ < DEPTH)
            s->open[s->depth - 1] = s->line;
        if (c == '}' && s->depth > 0)
            s->depth--;
        step(s);
        return 0;
    }
    return word(s, err);
}

/* Everywhere, in comments too: other bytes mean that this is not a text file. */
static int bytes_check(const char *path, const char *data, size_t len, struct error **err)
{
    unsigned line = 1;

    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)data[i];
        if ((c < 0x20 && c != '\t' && c != '\n' && c != '\r') || c == 0x7f)
            return error_set(err, 0, "%s:%u: byte \\x%02x: is this a text file?", path, line, c);
        if (c == '\n')
            line++;
    }
    return 0;
}

/* After the comments are gone: those may be in any encoding. */
static int encoding_check(const char *path, const char *data, size_t len, struct error **err)
{
    unsigned line = 1;

    for (size_t i = 0; i < len; line++) {
        const char *end = memchr(data + i, '\n', len - i);
        size_t n = end ? (size_t)(end - data) - i : len - i;
        if (!utf8_valid(data + i, n))
            return error_set(err, 0, "%s:%u: not valid UTF-8", path, line);
        i += n + 1;
    }
    return 0;
}

int scrub_text(const char *path, char *data, size_t len, struct error **err)
{
    struct scrub s = {.path = path, .data = data, .len = len, .line = 1};

    if (bytes_check(path, data, len, err) < 0)
        return -1;
    while (s.at < s.len)
        if (token(&s, err) < 0)
            return -1;
    /* libconfuse takes the end of the file for the end of a section. */
    if (s.depth > 0) {
        unsigned innermost = s.depth < DEPTH ? s.depth - 1 : DEPTH - 1;
        return error_set(err, 0, "%s:%u: \"{\" without an end: no \"}\" for it follows", path,
                         s.open[innermost]);
    }
    return encoding_check(path, data, len, err);
}
