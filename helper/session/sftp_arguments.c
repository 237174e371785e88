#include "config.h"

#include "session/sftp_arguments.h"

#include <string.h>
#include <strings.h>

/* sftp-server(8). Left out are those by which it doesn't serve: -c, -h, -Q. */
static const char flags[] = "eR";
static const char valued[] = "dflPpu";
static const char with_value[] = "dflPpuQ";

struct composing {
    struct strings *argv;
    const struct policy *policy;
    bool logged, has_umask, has_folder;
    char level[16];
    int rc;
};

static void put(struct composing *c, const char *word)
{
    if (c->rc == 0)
        c->rc = strings_add(c->argv, word);
}

static void take_value(struct composing *c, char option, const char *value, size_t len)
{
    static const char *const more[] = {"VERBOSE", "DEBUG", "DEBUG1", "DEBUG2", "DEBUG3"};
    const char name[] = {'-', option, '\0'};

    if (!strchr(valued, option) || (option == 'd' && c->policy->sftp_root) ||
        (option == 'f' && c->logged))
        return;
    if (option == 'l' && c->logged) {
        for (size_t i = 0; i < sizeof more / sizeof *more; i++)
            if (strlen(more[i]) == len && strncasecmp(more[i], value, len) == 0)
                memcpy(c->level, more[i], len + 1);
        return;
    }
    c->has_umask = c->has_umask || option == 'u';
    c->has_folder = c->has_folder || option == 'd';
    put(c, name);
    if (c->rc == 0)
        c->rc = strings_take(c->argv, strndup(value, len));
}

static void take_flag(struct composing *c, char option)
{
    const char name[] = {'-', option, '\0'};

    if (strchr(flags, option) && !(option == 'e' && c->logged) &&
        !(option == 'R' && c->policy->sftp_read_only))
        put(c, name);
}

/* As getopt(3) would read them: what comes behind must not become some option's value, or
 * stand behind the end of options. */
static void take_asked(struct composing *c, const char *s)
{
    static const char blanks[] = " \t";

    for (s += strspn(s, blanks); s[0] == '-' && s[1]; s += strspn(s, blanks)) {
        const char *end = s + strcspn(s, blanks);
        if (end - s == 2 && s[1] == '-')
            return;
        for (s++; s < end; s++) {
            char option = *s;
            if (!strchr(with_value, option)) {
                take_flag(c, option);
                continue;
            }
            const char *value = s + 1 < end ? s + 1 : end + strspn(end, blanks);
            end = value + strcspn(value, blanks);
            if (end > value)
                take_value(c, option, value, (size_t)(end - value));
            s = end;
            break;
        }
    }
}

/* What berth.conf doesn't speak of passes as it was said. */
static int take_as_is(struct strings *argv, const char *s)
{
    for (s += strspn(s, " \t"); *s; s += strspn(s, " \t")) {
        size_t len = strcspn(s, " \t");
        if (strings_take(argv, strndup(s, len)) < 0)
            return -1;
        s += len;
    }
    return 0;
}

/* It replaces %u, %d and %% itself. */
static char *escape_percent(const char *path)
{
    struct text out = {0};

    for (; *path; path++)
        text_puts(&out, *path == '%' ? "%%" : (const char[]){*path, '\0'});
    return text_take(&out);
}

/* NULL: in the working directory that the container gives. */
static const char *beginning(const struct composing *c)
{
    const struct policy *p = c->policy;

    if (p->sftp_root)
        return p->sftp_root;
    return p->workdir || c->has_folder ? NULL : p->home_at;
}

static void add_policys(struct composing *c)
{
    const struct policy *p = c->policy;
    const char *begins = beginning(c);

    if (c->logged) {
        put(c, "-e");
        put(c, "-l");
        put(c, c->level);
    }
    if (begins) {
        put(c, "-d");
        if (c->rc == 0)
            c->rc = strings_take(c->argv, escape_percent(begins));
    }
    if (p->sftp_read_only)
        put(c, "-R");
    if (p->umask != DEFAULT_UMASK && !c->has_umask) {
        put(c, "-u");
        if (c->rc == 0)
            c->rc = strings_take(c->argv, text_format("%04o", p->umask));
    }
}

int sftp_arguments(struct strings *argv, const struct policy *policy, const char *asked,
                   bool logged)
{
    struct composing c = {.argv = argv, .policy = policy, .logged = logged, .level = "INFO"};
    const char *behind = asked ? asked + strcspn(asked, " \t") : "";

    if (!logged && !policy->sftp_root && !policy->sftp_read_only && policy->umask == DEFAULT_UMASK)
        return take_as_is(argv, behind);
    take_asked(&c, behind);
    add_policys(&c);
    return c.rc;
}
