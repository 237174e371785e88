#include "config.h"

#include "session/outcome.h"

#include "base/file.h"
#include "base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <syslog.h>
#include <unistd.h>

enum {
    MESSAGE_MAX = 1200,
    MOTD_MAX = 64 * 1024,
    /* A client that reads nothing must not hold up the end of its session. */
    TAKE_MS = 2000,
};

static void write_all(const struct text *t)
{
    int flags = fd_set_nonblock(2, true);
    long long end = now_ms() + TAKE_MS;

    for (size_t sent = 0; sent < t->len;) {
        ssize_t n = write(2, t->data + sent, t->len - sent);
        struct pollfd slot = {.fd = 2, .events = POLLOUT};
        long long left = end - now_ms();
        if (n > 0)
            sent += (size_t)n;
        else if (n == 0 || (errno != EAGAIN && errno != EINTR) || left <= 0 ||
                 poll(&slot, 1, (int)left) == 0)
            break;
    }
    if (flags >= 0)
        (void)fcntl(2, F_SETFL, flags);
}

void outcome_tell(const char *text)
{
    cleanup_text struct text line = {0};

    text_puts(&line, "berth: ");
    text_display(&line, text, MESSAGE_MAX);
    text_puts(&line, "\n");
    write_all(&line);
}

void outcome_banner(const char *text)
{
    cleanup_text struct text line = {0};

    text_puts(&line, text);
    if (line.len > 0 && line.data[line.len - 1] != '\n')
        text_puts(&line, "\n");
    write_all(&line);
}

void outcome_motd(const char *path, const char *session)
{
    cleanup_error struct error *err = NULL;
    size_t len;
    cleanup_string char *text = file_read_trusted(path, TRUST_PUBLIC, MOTD_MAX, &len, &err);

    if (text)
        outcome_banner(text);
    else
        syslog(LOG_NOTICE, "session=%s motd: %s", session, error_text(err));
}

/* docker-init is tini: "[FATAL tini (7)] exec /bin/sh failed: No such file or
 * directory", status 127, or "[FATAL tini (1)] fork failed: Resource temporarily
 * unavailable", status 1. */
char *outcome_no_command(const struct relay_result *result, const struct policy *policy)
{
    const char *shell = policy->shell ? policy->shell : "/bin/sh";
    static const char complaint[] = "[FATAL tini (";

    /* Nothing else came: no command's own words. */
    if (result->bytes_out + result->bytes_err != (long long)result->head_len ||
        strncmp(result->head, complaint, sizeof complaint - 1) != 0)
        return NULL;
    if (result->status == 1 && strstr(result->head, "] fork failed: "))
        return strdup("cannot make a process: the container's limit of processes is reached "
                      "(pids in berth.conf)");
    if ((result->status != 127 && result->status != 126) || !strstr(result->head, "] exec "))
        return NULL;
    return text_format("image %s cannot run %s: name a shell that it has in berth.conf: "
                       "shell = \"/path\"",
                       policy->image, shell);
}

char *outcome_sftp(const struct relay_result *result, const struct policy *policy)
{
    int line = (int)strcspn(result->head, "\r\n");

    if (strncmp(result->head, "berth: ", 7) == 0)
        return text_format("%.*s", line - 7, result->head + 7);
    return text_format("sftp-server in image %s ended with status %d: %.*s", policy->image,
                       result->status, line, result->head);
}
