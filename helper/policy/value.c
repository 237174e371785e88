#include "config.h"

#include "policy/value.h"

#include "base/text.h"

#include <arpa/inet.h>
#include <limits.h>
#include <string.h>
#include <strings.h>

/* Not isalnum(): that one asks the locale. */
static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_alnum(char c)
{
    return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

int value_bool(const char *s, bool *out, struct error **err)
{
    static const char *const yes[] = {"yes", "true", "on"};
    static const char *const no[] = {"no", "false", "off"};

    for (size_t i = 0; i < 3; i++) {
        if (strcasecmp(s, yes[i]) == 0 || strcasecmp(s, no[i]) == 0) {
            *out = strcasecmp(s, yes[i]) == 0;
            return 0;
        }
    }
    return error_set(err, 0, "must be yes or no (or true, false, on, off)");
}

/* One of two or three words, by their places in `words`. */
static int choice(const char *s, const char *const words[3], int *out, struct error **err)
{
    for (int i = 0; i < 3 && words[i]; i++) {
        if (strcmp(s, words[i]) == 0) {
            *out = i;
            return 0;
        }
    }
    if (words[2])
        return error_set(err, 0, "must be \"%s\", \"%s\" or \"%s\"", words[0], words[1], words[2]);
    return error_set(err, 0, "must be \"%s\" or \"%s\"", words[0], words[1]);
}

int value_pull(const char *s, enum pull *out, struct error **err)
{
    static const char *const words[3] = {"missing", "always", "never"};
    int n = 0;

    if (choice(s, words, &n, err) < 0)
        return -1;
    *out = (enum pull)n;
    return 0;
}

int value_channel(const char *s, enum channel *out, struct error **err)
{
    static const char *const words[3] = {"auto", "direct", "attach"};
    int n = 0;

    if (choice(s, words, &n, err) < 0)
        return -1;
    *out = (enum channel)n;
    return 0;
}

int value_scope(const char *s, enum scope *out, struct error **err)
{
    static const char *const words[3] = {"session", "connection", "user"};
    int n = 0;

    if (choice(s, words, &n, err) < 0)
        return -1;
    *out = (enum scope)n;
    return 0;
}

int value_on_idle(const char *s, enum on_idle *out, struct error **err)
{
    static const char *const words[3] = {"remove", "stop", NULL};
    int n = 0;

    if (choice(s, words, &n, err) < 0)
        return -1;
    *out = (enum on_idle)n;
    return 0;
}

int value_replace(const char *s, enum replace *out, struct error **err)
{
    static const char *const words[3] = {"auto", "idle", "never"};
    int n = 0;

    if (choice(s, words, &n, err) < 0)
        return -1;
    *out = (enum replace)n;
    return 0;
}

int value_forwarding(const char *s, bool *out, struct error **err)
{
    static const char *const words[3] = {"off", "container", NULL};
    int n = 0;

    if (choice(s, words, &n, err) < 0)
        return -1;
    *out = n == 1;
    return 0;
}

int value_audit_format(const char *s, enum audit_format *out, struct error **err)
{
    static const char *const words[3] = {"text", "json", NULL};
    int n = 0;

    if (choice(s, words, &n, err) < 0)
        return -1;
    *out = (enum audit_format)n;
    return 0;
}

int value_duration(const char *s, long long *out, struct error **err)
{
    static const char units[] = "smhd";
    static const int seconds[] = {1, 60, 3600, 86400};
    size_t len = strlen(s);
    long long n, factor = 1;
    const char *unit = len > 0 && !is_digit(s[len - 1]) ? strchr(units, s[len - 1]) : NULL;

    if (unit) {
        factor = seconds[unit - units];
        len--;
    }
    if (!value_decimal(s, len, DURATION_MOST / factor, &n))
        return error_set(err, 0,
                         "must be a number of seconds, or one with s, m, h or d after it, as in "
                         "\"30m\", at most 3650d");
    *out = n * factor;
    return 0;
}

int value_standby(const char *s, long long *out, struct error **err)
{
    if (!value_decimal(s, strlen(s), STANDBY_MOST, out))
        return error_set(err, 0, "must be a number from 0 to %d", STANDBY_MOST);
    return 0;
}

int value_linger(const char *s, long long *out, struct error **err)
{
    if (strcmp(s, "forever") == 0) {
        *out = -1;
        return 0;
    }
    return value_duration(s, out, err);
}

bool value_decimal(const char *s, size_t len, long long most, long long *out)
{
    long long n = 0;

    if (len == 0)
        return false;
    for (size_t i = 0; i < len; i++) {
        if (!is_digit(s[i]))
            return false;
        int digit = s[i] - '0';
        if (n > (most - digit) / 10)
            return false;
        n = n * 10 + digit;
    }
    *out = n;
    return true;
}

int value_size(const char *s, long long *out, struct error **err)
{
    static const char units[] = "bkmg";
    size_t len = strlen(s);
    int shift = 0;

    if (len > 0 && !is_digit(s[len - 1])) {
        char c = s[len - 1];
        const char *unit = strchr(units, c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
        if (!unit || !*unit)
            return error_set(err, 0,
                             "must be a number of bytes, or one with b, k, m or g after it, "
                             "as in \"512m\"");
        shift = 10 * (int)(unit - units);
        len--;
    }
    if (len == 0 || strspn(s, "0123456789") != len)
        return error_set(err, 0,
                         "must be a number of bytes, or one with b, k, m or g after it, "
                         "as in \"512m\"");
    long long n;
    if (!value_decimal(s, len, LLONG_MAX >> shift, &n))
        return error_set(err, 0, "is too large: at most %lld bytes", LLONG_MAX);
    *out = n << shift;
    return 0;
}

int value_memory(const char *s, long long *out, struct error **err)
{
    long long n = 0;

    if (strcmp(s, "unlimited") == 0) {
        *out = 0;
        return 0;
    }
    if (value_size(s, &n, err) < 0)
        return -1;
    if (n < 6 << 20)
        return error_set(err, 0,
                         "is too small: the engine wants at least \"6m\" "
                         "(no limit: \"unlimited\")");
    *out = n;
    return 0;
}

int value_memory_swap(const char *s, long long *out, struct error **err)
{
    if (strcmp(s, "unlimited") == 0 || strcmp(s, "-1") == 0) {
        *out = -1;
        return 0;
    }
    return value_memory(s, out, err);
}

int value_cpus(const char *s, long long *out, struct error **err)
{
    size_t whole = strspn(s, "0123456789");
    long long n = 0, fraction = 0;

    if (strcmp(s, "unlimited") == 0) {
        *out = 0;
        return 0;
    }
    bool ok = value_decimal(s, whole, 8192, &n);
    if (ok && s[whole] == '.') {
        const char *f = s + whole + 1;
        size_t digits = strspn(f, "0123456789");
        ok = digits <= 9 && f[digits] == '\0' && value_decimal(f, digits, 999999999, &fraction);
        for (size_t i = digits; i < 9; i++)
            fraction *= 10;
    } else if (s[whole] != '\0') {
        ok = false;
    }
    if (!ok)
        return error_set(err, 0,
                         "must be a number of CPUs up to 8192, as in \"1.5\" or \"2\", "
                         "or \"unlimited\"");
    n = n * 1000000000 + fraction;
    /* A period of 100 ms and the kernel's shortest quota of 1 ms. */
    if (n < 10000000)
        return error_set(err, 0, "is too small: at least \"0.01\" (no limit: \"unlimited\")");
    *out = n;
    return 0;
}

int value_pids(const char *s, long long *out, struct error **err)
{
    if (strcmp(s, "unlimited") == 0 || strcmp(s, "-1") == 0) {
        *out = -1;
        return 0;
    }
    if (!value_decimal(s, strlen(s), 4194304, out) || *out == 0)
        return error_set(err, 0, "must be a number from 1 to 4194304, or \"unlimited\"");
    return 0;
}

bool value_is_path(const char *s, size_t len)
{
    if (len == 0 || len >= PATH_MAX || s[0] != '/')
        return false;
    for (size_t i = 0; i < len;) {
        while (i < len && s[i] == '/')
            i++;
        size_t start = i;
        while (i < len && s[i] != '/')
            i++;
        size_t n = i - start;
        if ((n == 1 && s[start] == '.') || (n == 2 && s[start] == '.' && s[start + 1] == '.'))
            return false;
    }
    return true;
}

bool value_is_name(const char *s, size_t len)
{
    if (len == 0 || len > 255 || !is_alnum(s[0]))
        return false;
    for (size_t i = 1; i < len; i++)
        if (!is_alnum(s[i]) && s[i] != '_' && s[i] != '.' && s[i] != '-')
            return false;
    return true;
}

int value_text(const char *s, bool lines, struct error **err)
{
    const unsigned char *p = (const unsigned char *)s;
    size_t len = strlen(s);

    if (len > VALUE_MOST)
        return error_set(err, 0, "is too long: %zu bytes, at most %d", len, VALUE_MOST);
    if (!utf8_valid(s, len))
        return error_set(err, 0, "is not valid UTF-8");
    for (size_t i = 0; i < len; i++) {
        if (lines && (p[i] == '\n' || p[i] == '\t'))
            continue;
        /* U+0080 to U+009F control a terminal too. */
        if (p[i] < 0x20 || p[i] == 0x7f || (p[i] == 0xc2 && p[i + 1] < 0xa0))
            return error_set(err, 0, "has a control character, which is not allowed here");
    }
    return 0;
}

int value_filled(const char *s, struct error **err)
{
    if (s[0] == '\0')
        return error_set(err, 0, "must not be empty");
    return 0;
}

int value_path(const char *s, struct error **err)
{
    if (!value_is_path(s, strlen(s)))
        return error_set(err, 0,
                         "must be an absolute path without \".\" and \"..\" in it, shorter "
                         "than %d bytes",
                         PATH_MAX);
    return 0;
}

int value_name(const char *s, struct error **err)
{
    if (!value_is_name(s, strlen(s)))
        return error_set(err, 0,
                         "must be a name of letters, digits, \"_\", \".\" and \"-\" that "
                         "starts with a letter or digit");
    return 0;
}

int value_image(const char *s, struct error **err)
{
    size_t len = strlen(s);

    if (len == 0 || len > 512 || strpbrk(s, " \t\n"))
        return error_set(err, 0,
                         "must be an image's name, as in \"debian:12-slim\": not empty, no "
                         "blanks, at most 512 bytes");
    return 0;
}

/* A number that the engine takes for an id, or a name. */
static bool is_principal(const char *s, size_t len)
{
    long long id;

    if (len == 0 || len > 255 || s[0] == '-')
        return false;
    if (strspn(s, "0123456789") >= len)
        return value_decimal(s, len, INT_MAX, &id);
    for (size_t i = 0; i < len; i++)
        if (!is_alnum(s[i]) && s[i] != '_' && s[i] != '.' && s[i] != '-')
            return false;
    return true;
}

int value_user(const char *s, struct error **err)
{
    size_t user = strcspn(s, ":");

    if (!is_principal(s, user) ||
        (s[user] == ':' && !is_principal(s + user + 1, strlen(s + user + 1))))
        return error_set(err, 0,
                         "must be USER or USER:GROUP, each a number up to %d or a name of "
                         "letters, digits, \"_\", \".\" and \"-\", as in \"%%U:%%G\"",
                         INT_MAX);
    return 0;
}

int value_groups(const char *s, struct error **err)
{
    size_t len = strlen(s);
    long long gid;

    if (len > 0 && s[strspn(s, "0123456789")] == '\0') {
        if (value_decimal(s, len, INT_MAX, &gid) && gid > 0)
            return 0;
        return error_set(err, 0, "must be a group's number from 1 to %d, or a pattern of names",
                         INT_MAX);
    }
    return value_filled(s, err);
}

int value_hostname(const char *s, struct error **err)
{
    size_t len = strlen(s), label = 0;
    bool ok = len > 0 && len <= 64;

    for (size_t i = 0; ok && i <= len; i++) {
        if (i == len || s[i] == '.') {
            ok = label > 0 && label <= 63 && s[i - 1] != '-';
            label = 0;
        } else {
            ok = is_alnum(s[i]) || (s[i] == '-' && label > 0);
            label++;
        }
    }
    if (!ok)
        return error_set(err, 0,
                         "must be a host name: letters, digits and \"-\", parts of at most "
                         "63 bytes between dots, at most 64 bytes in all");
    return 0;
}

int value_network(const char *s, struct error **err)
{
    if (strncmp(s, "container:", 10) == 0)
        return error_set(err, 0, "would share another container's network, which is not allowed");
    if (!value_is_name(s, strlen(s)))
        return error_set(err, 0, "must be \"none\", \"bridge\", \"host\" or the name of a network");
    return 0;
}

int value_address(const char *s, struct error **err)
{
    unsigned char binary[16];

    if (inet_pton(AF_INET, s, binary) != 1 && inet_pton(AF_INET6, s, binary) != 1)
        return error_set(err, 0, "must be an IPv4 or IPv6 address");
    return 0;
}

int value_security_opt(const char *s, struct error **err)
{
    size_t key = strspn(s, "abcdefghijklmnopqrstuvwxyz-");

    if (strncmp(s, "no-new-privileges", 17) == 0)
        return error_set(err, 0, "has an option of its own: no_new_privileges");
    if (key == 0 || s[key] != '=' || s[key + 1] == '\0')
        return error_set(err, 0, "must be KEY=VALUE, as in \"apparmor=berth\"");
    /* docker's own client reads the file; the API wants what is in it. */
    if (strncmp(s, "seccomp=/", 9) == 0)
        return error_set(err, 0,
                         "names a file: the engine takes the profile's JSON text itself, or "
                         "\"seccomp=unconfined\"");
    return 0;
}

int value_label(const char *s, struct error **err)
{
    size_t key = strcspn(s, "=");

    if (strncasecmp(s, "berth.", 6) == 0)
        return error_set(err, 0, "has a key that begins with \"berth.\": those are berth's own");
    if (key == 0 || s[key] != '=' || memchr(s, ' ', key))
        return error_set(err, 0, "must be KEY=VALUE, the key not empty and without blanks");
    return 0;
}

int value_env(const char *s, struct error **err)
{
    size_t name = strcspn(s, "=");
    bool ok = name > 0 && s[name] == '=' && !is_digit(s[0]);

    for (size_t i = 0; i < name; i++)
        ok = ok && (is_alnum(s[i]) || s[i] == '_');
    if (!ok)
        return error_set(err, 0,
                         "must be NAME=VALUE, the name of letters, digits and \"_\", not "
                         "starting with a digit");
    return 0;
}

int value_env_pattern(const char *s, struct error **err)
{
    bool ok = s[0] != '\0';

    for (size_t i = 0; s[i]; i++)
        ok = ok && (is_alnum(s[i]) || strchr("_*?", s[i]));
    if (!ok)
        return error_set(err, 0,
                         "must be a variable's name or a pattern of letters, digits, \"_\", "
                         "\"*\" and \"?\", as in \"LC_*\"");
    return 0;
}
