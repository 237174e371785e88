#include "config.h"

#include "policy/command.h"

#include <stdlib.h>
#include <string.h>

/* How a shell reads the next byte (POSIX, 2.2 Quoting). */
enum quoting { UNQUOTED, SINGLE, DOUBLE, ESCAPED, DOUBLE_ESCAPED };

static enum quoting after(enum quoting q, char c)
{
    switch (q) {
    case UNQUOTED:
        return c == '\'' ? SINGLE : c == '"' ? DOUBLE : c == '\\' ? ESCAPED : UNQUOTED;
    case SINGLE:
        return c == '\'' ? UNQUOTED : SINGLE;
    case DOUBLE:
        return c == '"' ? UNQUOTED : c == '\\' ? DOUBLE_ESCAPED : DOUBLE;
    case ESCAPED:
        return UNQUOTED;
    case DOUBLE_ESCAPED:
        break;
    }
    return DOUBLE;
}

/* A wildcard that stands between quotes can't end them. */
static bool wild_may_match(char c, enum quoting q)
{
    unsigned char u = (unsigned char)c;

    if ((q == SINGLE && c == '\'') || (q == DOUBLE && c == '"'))
        return false;
    return u >= 0x20 && u != 0x7f && !strchr(";&|<>()$`\\{}*?[]#!", c);
}

/* Places in the pattern that the command's bytes so far can lead to, as a
 * byte each. */
struct places {
    unsigned char *now, *next;
    unsigned char *quoting; /* enum quoting that the pattern itself has there */
};

/* A `*` may also match nothing. */
static void skip_stars(const char *pattern, unsigned char *at)
{
    for (size_t i = 0; pattern[i]; i++)
        if (at[i] && pattern[i] == '*')
            at[i + 1] = 1;
}

static bool run(const char *pattern, size_t len, const char *command, struct places *p)
{
    enum quoting q = UNQUOTED;

    for (size_t i = 0; i < len; i++)
        p->quoting[i + 1] = pattern[i] == '*' || pattern[i] == '?'
                                ? p->quoting[i]
                                : (unsigned char)after(p->quoting[i], pattern[i]);
    p->now[0] = 1;
    skip_stars(pattern, p->now);
    for (; *command; command++) {
        memset(p->next, 0, len + 1);
        for (size_t i = 0; i < len; i++) {
            enum quoting own = p->quoting[i];
            if (!p->now[i])
                continue;
            if (pattern[i] == '*')
                p->next[i] |= wild_may_match(*command, own);
            else if (q == own &&
                     (pattern[i] == '?' ? wild_may_match(*command, own) : pattern[i] == *command))
                p->next[i + 1] = 1;
        }
        skip_stars(pattern, p->next);
        q = after(q, *command);
        unsigned char *swap = p->now;
        p->now = p->next;
        p->next = swap;
    }
    return p->now[len] && q == p->quoting[len];
}

static bool pattern_matches(const char *pattern, const char *command)
{
    size_t len = strlen(pattern);
    unsigned char *memory = calloc(3, len + 1);
    bool matches = false;

    if (memory) {
        struct places p = {memory, memory + len + 1, memory + 2 * (len + 1)};
        matches = run(pattern, len, command, &p);
    }
    free(memory);
    return matches;
}

bool command_allowed(const struct strings *patterns, const char *command)
{
    for (size_t i = 0; i < patterns->count; i++)
        if (pattern_matches(patterns->items[i], command))
            return true;
    return false;
}
