#include "config.h"

#include "policy/expand.h"

#include "base/text.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

static bool has_control(const char *s)
{
    for (; *s; s++)
        if ((unsigned char)*s < 0x20 || *s == 0x7f)
            return true;
    return false;
}

/* Nothing that a shell or command_allowed() would act on, nor a blank. */
static bool shell_takes_it_plain(const char *s)
{
    return s[0] != '-' && s[strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                      "0123456789_.,:=@%+/-")] == '\0';
}

static bool has_dotdot(const char *path)
{
    while (*path) {
        size_t n = strcspn(path, "/");
        if (n == 2 && memcmp(path, "..", 2) == 0)
            return true;
        path += n + (path[n] == '/');
    }
    return false;
}

static int refuse(const char *what, const char *value, char sequence, const char *why,
                  struct error **err)
{
    cleanup_text struct text shown = {0};

    text_escape(&shown, value, 64);
    return error_set(err, 0, "%%%c would put in the login's %s \"%s\", which %s", sequence, what,
                     text_str(&shown), why);
}

static int name_check(const char *name, enum expand_place place, struct error **err)
{
    if (name[0] == '\0' || strcmp(name, ".") == 0 || strcmp(name, "..") == 0 ||
        strpbrk(name, "/:") || has_control(name))
        return refuse("name", name, 'u',
                      "is empty, \".\" or \"..\" or holds \"/\", \":\" or a "
                      "control character",
                      err);
    if (place == EXPAND_SHELL && !shell_takes_it_plain(name))
        return refuse("name", name, 'u', "has characters that a shell could act on", err);
    if (place == EXPAND_USER && name[strspn(name, "0123456789")] == '\0')
        return refuse("name", name, 'u', "is a number and would be taken for a uid", err);
    return 0;
}

static int home_check(const char *home, enum expand_place place, struct error **err)
{
    if (home[0] != '/' || has_control(home) || strchr(home, ':') || has_dotdot(home))
        return refuse("home", home, 'h',
                      "is not absolute or holds \":\", \"..\" or a control "
                      "character",
                      err);
    if (place == EXPAND_SHELL && !shell_takes_it_plain(home))
        return refuse("home", home, 'h', "has characters that a shell could act on", err);
    return 0;
}

char *expand(const char *s, const struct account *account, enum expand_place place,
             struct error **err)
{
    cleanup_text struct text out = {0};

    while (*s) {
        size_t plain = strcspn(s, "%");
        text_add(&out, s, plain);
        s += plain;
        if (*s == '\0')
            break;
        switch (s[1]) {
        case 'u':
            if (name_check(account->name, place, err) < 0)
                return NULL;
            text_puts(&out, account->name);
            break;
        case 'U':
            text_printf(&out, "%u", (unsigned)account->uid);
            break;
        case 'G':
            text_printf(&out, "%u", (unsigned)account->gid);
            break;
        case 'h':
            if (home_check(account->home, place, err) < 0)
                return NULL;
            text_puts(&out, account->home);
            break;
        case '%':
            text_puts(&out, "%");
            break;
        default:
            error_set(err, 0,
                      "has a \"%%\" that is not followed by u, U, G, h or %%; a \"%%\" "
                      "itself is written \"%%%%\"");
            return NULL;
        }
        s += 2;
    }
    char *result = text_take(&out);
    if (!result)
        error_set(err, ENOMEM, "cannot expand it");
    return result;
}
