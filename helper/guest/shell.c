#include "config.h"

#include "guest/shell.h"

#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* name:password:uid:gid:gecos:home:shell */
enum { FIELD_UID = 2, FIELD_SHELL = 6 };

static bool is_number(const char *s, size_t len, uid_t wanted)
{
    unsigned long long n = 0;

    if (len == 0 || len > 10)
        return false;
    for (size_t i = 0; i < len; i++) {
        if (s[i] < '0' || s[i] > '9')
            return false;
        n = n * 10 + (unsigned long long)(s[i] - '0');
    }
    return n == wanted;
}

/* The field's text and length, NULL where the line has not so many. */
static const char *field(const char *line, size_t len, int number, size_t *field_len)
{
    const char *at = line, *end = line + len;

    for (; number > 0; number--) {
        at = memchr(at, ':', (size_t)(end - at));
        if (!at)
            return NULL;
        at++;
    }
    const char *stop = memchr(at, ':', (size_t)(end - at));
    *field_len = (size_t)((stop ? stop : end) - at);
    return at;
}

/* The first line of that uid, NULL where there is none. */
static const char *line_of(const char *text, size_t len, uid_t uid, size_t *line_len)
{
    while (len > 0) {
        const char *newline = memchr(text, '\n', len);
        size_t line = newline ? (size_t)(newline - text) : len, n;
        const char *number = field(text, line, FIELD_UID, &n);

        *line_len = line;
        if (number && is_number(number, n, uid))
            return text;
        text += line + (newline ? 1 : 0);
        len -= line + (newline ? 1 : 0);
    }
    return NULL;
}

char *shell_of_passwd(const char *text, size_t len, uid_t uid)
{
    size_t line, n;
    const char *at = line_of(text, len, uid, &line);
    const char *shell = at ? field(at, line, FIELD_SHELL, &n) : NULL;

    if (!shell || n < 2 || n >= PATH_MAX || shell[0] != '/' || memchr(shell, '\0', n))
        return NULL;
    return strndup(shell, n);
}

static char *read_passwd(size_t *len)
{
    struct stat st;
    cleanup_fd int fd = open("/etc/passwd", O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    char *text = NULL;

    *len = 0;
    if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || !(text = malloc(SHELL_PASSWD_MAX)))
        return NULL;
    while (*len < SHELL_PASSWD_MAX) {
        ssize_t n = read(fd, text + *len, SHELL_PASSWD_MAX - *len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            break;
        *len += (size_t)n;
    }
    return text;
}

bool shell_has_account(uid_t uid)
{
    size_t len, line;
    char *text = read_passwd(&len);
    bool found = text && line_of(text, len, uid, &line);

    free(text);
    return found;
}

static bool can_run(const char *path)
{
    struct stat st;

    return stat(path, &st) == 0 && S_ISREG(st.st_mode) && access(path, X_OK) == 0;
}

/* A shell that turns everybody away is the image's word on its own logins, not on
 * ours, which berth.conf has let in. */
static bool turns_away(const char *path)
{
    const char *name = strrchr(path, '/') + 1;

    return strcmp(name, "nologin") == 0 || strcmp(name, "false") == 0;
}

char *shell_find(const char *wanted)
{
    static const char *const usual[] = {"/bin/bash", "/bin/sh"};
    size_t len;

    if (wanted[0])
        return strdup(wanted);
    char *text = read_passwd(&len);
    char *shell = text ? shell_of_passwd(text, len, getuid()) : NULL;
    free(text);
    if (shell && !turns_away(shell) && can_run(shell))
        return shell;
    free(shell);
    for (size_t i = 0; i < sizeof usual / sizeof usual[0]; i++)
        if (can_run(usual[i]))
            return strdup(usual[i]);
    return NULL;
}
