#include "config.h"

#include "check/sshd.h"

#include "base/capture.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define SSHD "/usr/sbin/sshd"

enum { SETTINGS_MAX = 20000 };

static int add(struct sshd_settings *settings, const char *line, size_t len, struct error **err)
{
    size_t key = 0, value;

    while (key < len && !isspace((unsigned char)line[key]))
        key++;
    value = key + (key < len);
    struct sshd_setting *bigger = reallocarray(settings->items, settings->count + 1,
                                               sizeof *bigger);
    if (!bigger)
        return error_set(err, ENOMEM, "sshd's settings");
    settings->items = bigger;
    struct sshd_setting *s = &bigger[settings->count++];
    *s = (struct sshd_setting){strndup(line, key), strndup(line + value, len - value)};
    if (!s->key || !s->value)
        return error_set(err, ENOMEM, "sshd's settings");
    for (char *c = s->key; *c; c++)
        *c = (char)tolower((unsigned char)*c);
    return 0;
}

int sshd_parse(struct sshd_settings *settings, const char *text, struct error **err)
{
    *settings = (struct sshd_settings){0};
    while (*text) {
        size_t len = strcspn(text, "\n");
        if (len > 0 && add(settings, text, len, err) < 0)
            return -1;
        if (settings->count > SETTINGS_MAX)
            return error_set(err, 0, "sshd -T prints more than %d lines", SETTINGS_MAX);
        text += len + (text[len] == '\n');
    }
    if (!sshd_get(settings, "port", 0))
        return error_set(err, 0, "sshd -T doesn't print an sshd's settings");
    return 0;
}

/* -C takes "user=NAME,host=...". */
static bool can_be_asked(const char *user)
{
    for (const char *c = user; *c; c++)
        if (*c == ',' || iscntrl((unsigned char)*c))
            return false;
    return user[0] != '\0';
}

static int ask_argv(struct strings *argv, const char *file, const char *user)
{
    int rc = strings_add(argv, SSHD);

    if (rc == 0)
        rc = strings_add(argv, "-T");
    if (rc == 0 && file)
        rc = strings_add(argv, "-f");
    if (rc == 0 && file)
        rc = strings_add(argv, file);
    if (rc == 0)
        rc = strings_add(argv, "-C");
    return rc < 0 ? rc
                  : strings_take(argv, text_format("user=%s,host=localhost,addr=127.0.0.1,"
                                                   "laddr=127.0.0.1,lport=22",
                                                   user));
}

int sshd_ask(struct sshd_settings *settings, const char *file, const char *user, struct error **err)
{
    cleanup_strings struct strings argv = {0};
    cleanup_text struct text out = {0};

    *settings = (struct sshd_settings){0};
    if (!can_be_asked(user))
        return error_set(err, 0, "sshd can't be asked about this name");
    if (ask_argv(&argv, file, user) < 0)
        return error_set(err, ENOMEM, "sshd -T");
    if (capture_run(&argv, &out, err) < 0)
        return -1;
    if (out.failed)
        return error_set(err, ENOMEM, "sshd -T");
    return sshd_parse(settings, text_str(&out), err);
}

const char *sshd_get(const struct sshd_settings *settings, const char *key, size_t index)
{
    for (size_t i = 0; i < settings->count; i++)
        if (strcasecmp(settings->items[i].key, key) == 0 && index-- == 0)
            return settings->items[i].value;
    return NULL;
}

bool sshd_is(const struct sshd_settings *settings, const char *key, const char *value)
{
    const char *seen = sshd_get(settings, key, 0);

    return seen && strcmp(seen, value) == 0;
}

void sshd_free(struct sshd_settings *settings)
{
    for (size_t i = 0; i < settings->count; i++) {
        free(settings->items[i].key);
        free(settings->items[i].value);
    }
    free(settings->items);
    *settings = (struct sshd_settings){0};
}

/* As sshd's match_pattern(): nothing but * and ? is special, so fnmatch(3) won't do. */
static bool matches(const char *name, const char *pattern, size_t len)
{
    const char *end = pattern + len, *star = NULL, *from = NULL;

    while (*name) {
        if (pattern < end && *pattern == '*') {
            star = ++pattern;
            from = name;
        } else if (pattern < end && (*pattern == '?' || *pattern == *name)) {
            pattern++;
            name++;
        } else if (star) {
            pattern = star;
            name = ++from;
        } else {
            return false;
        }
    }
    while (pattern < end && *pattern == '*')
        pattern++;
    return pattern == end;
}

bool sshd_lets_through(const char *patterns, const char **name)
{
    /* The dynamic loader's and libc's, then what a shell reads when it starts. */
    static const char *const dangerous[] = {
        "LD_PRELOAD",
        "LD_AUDIT",
        "LD_LIBRARY_PATH",
        "GLIBC_TUNABLES",
        "GCONV_PATH",
        "BASH_ENV",
        "ENV",
        "BASH_FUNC_x%%",
        "SHELLOPTS",
        "BASHOPTS",
        "PS4",
        "PERL5OPT",
        "PYTHONPATH",
        "ZDOTDIR",
        "HOME",
        "PATH",
        "TERMINFO",
        "IFS",
        "XDG_CONFIG_HOME",
        NULL,
    };

    for (patterns += strspn(patterns, " \t,"); *patterns; patterns += strspn(patterns, " \t,")) {
        size_t len = strcspn(patterns, " \t,");
        for (const char *const *n = dangerous; *n; n++) {
            if (!matches(*n, patterns, len))
                continue;
            *name = *n;
            return true;
        }
        patterns += len;
    }
    return false;
}

bool sshd_is_internal_sftp(const char *command)
{
    static const char name[] = "internal-sftp";
    size_t len = sizeof name - 1;

    return strncmp(command, name, len) == 0 && strchr(" \t", command[len]) != NULL;
}
