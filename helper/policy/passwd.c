#include "config.h"

#include "policy/passwd.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

/* passwd(5): name:password:uid:gid:gecos:home:shell; group(5): name:password:gid:members */
enum { PASSWD_UID = 2, PASSWD_GID = 3, PASSWD_SHELL = 6, GROUP_GID = 2 };

static bool read_number(const char *s, size_t len, unsigned *number)
{
    unsigned long long n = 0;

    if (len == 0 || len > 10)
        return false;
    for (size_t i = 0; i < len; i++) {
        if (s[i] < '0' || s[i] > '9')
            return false;
        n = n * 10 + (unsigned long long)(s[i] - '0');
    }
    *number = (unsigned)n;
    return n <= UINT_MAX;
}

bool passwd_ids(struct passwd_ids *ids, const char *user)
{
    size_t len = strcspn(user, ":");

    *ids = (struct passwd_ids){.has_gid = user[len] == ':'};
    return read_number(user, len, &ids->uid) &&
           (!ids->has_gid || read_number(user + len + 1, strlen(user + len + 1), &ids->gid));
}

bool passwd_takes(const char *name)
{
    /* "+" and "-" begin lines of nss_compat. */
    if (name[0] == '\0' || strchr("+-#", name[0]))
        return false;
    for (; *name; name++)
        if ((unsigned char)*name <= 0x20 || *name == 0x7f || *name == ':' || *name == ',')
            return false;
    return true;
}

struct line {
    const char *at;
    size_t len;
};

/* The first line whose field of that number is `wanted`. */
static bool find(struct line *found, const struct text *file, int field, unsigned wanted)
{
    const char *at = text_str(file), *end = at + file->len;

    while (at < end) {
        const char *newline = memchr(at, '\n', (size_t)(end - at)), *stop = newline ? newline : end;
        const char *f = at;
        unsigned number;
        for (int i = 0; f && i < field; i++) {
            f = memchr(f, ':', (size_t)(stop - f));
            f = f ? f + 1 : NULL;
        }
        const char *colon = f ? memchr(f, ':', (size_t)(stop - f)) : NULL;
        if (f && read_number(f, (size_t)((colon ? colon : stop) - f), &number) &&
            number == wanted) {
            *found = (struct line){at, (size_t)(stop - at)};
            return true;
        }
        at = stop + 1;
    }
    return false;
}

/* Of a line that `find` found, so that the field is there but for its end. */
static struct line field_of(const struct line *line, int field)
{
    const char *at = line->at, *end = line->at + line->len;

    for (; at && field > 0; field--) {
        at = memchr(at, ':', (size_t)(end - at));
        at = at ? at + 1 : NULL;
    }
    const char *colon = at ? memchr(at, ':', (size_t)(end - at)) : NULL;
    return (struct line){at ? at : "", at ? (size_t)((colon ? colon : end) - at) : 0};
}

static bool ends_with(const struct line *s, const char *end)
{
    size_t len = strlen(end);

    return s->len >= len && memcmp(s->at + s->len - len, end, len) == 0;
}

/* As the guest chooses one (guest/shell.h): not one that turns logins away. */
static struct line shell_of(const struct passwd_login *login, const struct text *image)
{
    static const char bash[] = "/bin/bash", sh[] = "/bin/sh";
    struct line line, shell;

    if (login->shell)
        return (struct line){login->shell, strlen(login->shell)};
    if (find(&line, image, PASSWD_UID, login->ids.uid)) {
        shell = field_of(&line, PASSWD_SHELL);
        if (shell.len > 1 && shell.at[0] == '/' && !ends_with(&shell, "/nologin") &&
            !ends_with(&shell, "/false") && !memchr(shell.at, '\0', shell.len))
            return shell;
    }
    return login->bash ? (struct line){bash, sizeof bash - 1} : (struct line){sh, sizeof sh - 1};
}

/* What the engine makes of a user without a group. */
static unsigned gid_of(const struct passwd_login *login, const struct text *image)
{
    struct line line;
    unsigned gid = 0;

    if (login->ids.has_gid)
        return login->ids.gid;
    if (find(&line, image, PASSWD_UID, login->ids.uid)) {
        struct line field = field_of(&line, PASSWD_GID);
        (void)read_number(field.at, field.len, &gid);
    }
    return gid;
}

static void add_image(struct text *out, const struct text *image)
{
    text_add(out, text_str(image), image->len);
    if (image->len > 0 && image->data[image->len - 1] != '\n')
        text_puts(out, "\n");
}

/* An image without any. */
static void add_root(struct text *out, const struct text *image, const char *line)
{
    if (image->len == 0)
        text_puts(out, line);
}

void passwd_make(struct text *out, const struct passwd_login *login, const struct text *image)
{
    struct line shell = shell_of(login, image);

    /* A full name too: git(1) wants one of who commits. */
    text_printf(out, "%s:x:%u:%u:%s:%s:", login->name, login->ids.uid, gid_of(login, image),
                login->name, login->home);
    text_add(out, shell.at, shell.len);
    text_puts(out, "\n");
    add_root(out, image, "root:x:0:0:root:/root:/bin/sh\n");
    add_image(out, image);
}

static void add_group(struct text *out, const struct text *image, const char *name, unsigned gid,
                      const char *member)
{
    struct line line;

    if (passwd_takes(name) && !find(&line, image, GROUP_GID, gid))
        text_printf(out, "%s:x:%u:%s\n", name, gid, member);
}

void passwd_make_group(struct text *out, const struct passwd_login *login,
                       const struct text *image_passwd, const struct text *image)
{
    const unsigned own = gid_of(login, image_passwd);

    add_root(out, image, "root:x:0:\n");
    if (own != 0)
        add_group(out, image, login->name, own, "");
    for (size_t i = 0; i < login->groups->count; i++) {
        const char *group = login->groups->items[i];
        size_t len = strcspn(group, ":");
        unsigned gid;
        if (read_number(group, len, &gid) && gid != own && group[len] == ':')
            add_group(out, image, group + len + 1, gid, login->name);
    }
    add_image(out, image);
}
