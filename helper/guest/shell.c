#include "config.h"

#include "guest/shell.h"

#include "base/file.h"

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

/* It may be anything, a FIFO too: reading waits for nobody, and ends. */
static char *read_passwd(size_t *len)
{
    cleanup_fd int fd = open("/etc/passwd", O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);

    return fd < 0 ? NULL : file_read_all(fd, SHELL_PASSWD_MAX, len);
}

bool shell_has_account(uid_t uid)
{
    size_t len, line;
    char *text = read_passwd(&len);
    bool found = text && line_of(text, len, uid, &line);

    free(text);
    return found;
}

bool shell_can_run(const char *path)
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

int shell_candidates(struct strings *shells, const char *wanted)
{
    size_t len;

    if (wanted[0])
        return strings_add(shells, wanted);
    char *text = read_passwd(&len);
    char *own = text ? shell_of_passwd(text, len, getuid()) : NULL;
    free(text);
    if (own && turns_away(own)) {
        free(own);
        own = NULL;
    }
    if (own && strings_take(shells, own) < 0)
        return -1;
    return strings_add(shells, "/bin/bash") < 0 ? -1 : strings_add(shells, "/bin/sh");
}
