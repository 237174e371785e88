/* The start of a session by exec: attach.h. */
#include "config.h"

#include "channel/attach.h"

#include "base/file.h"
#include "channel/exec_script.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
    /* From the exec's start to its shell's first word. */
    REPORT_MS = 10000,
    REPORT_LINES = 16,
    LINE_MAX_SIZE = 512,
    FRAME_HEADER = 8,
};

/* Takes exactly `len` bytes: what follows is the relay's. */
static int take(struct attach *attach, struct client *client, char *bytes, size_t len,
                long long end, struct error **err)
{
    for (size_t have = 0; have < len;) {
        struct pollfd fd = {.fd = hijack_fd(attach->stream), .events = POLLIN};
        ssize_t n = hijack_read(attach->stream, bytes + have, len - have);

        if (n > 0) {
            have += (size_t)n;
            continue;
        }
        if (n == 0 || (errno != EAGAIN && errno != EINTR))
            return error_set_kind(err, ERROR_LOST, "the engine broke off the exec");
        long long left = end - now_ms();
        if (left <= 0)
            return error_set(err, 0, "its shell said nothing in %d s", REPORT_MS / 1000);
        if (client_poll(client, &fd, 1, (int)left, err) < 0)
            return -1;
    }
    return 0;
}

/* What comes before the leader's pid. */
struct report {
    struct attach *attach;
    struct client *client;
    size_t left; /* of the frame */
    long long end;
};

/* Without a terminal the bytes come in frames, of whichever stream. */
static int take_byte(struct report *r, char *byte, struct error **err)
{
    unsigned char header[FRAME_HEADER];

    while (!r->attach->tty && r->left == 0) {
        if (take(r->attach, r->client, (char *)header, sizeof header, r->end, err) < 0)
            return -1;
        r->left = (size_t)header[4] << 24 | (size_t)header[5] << 16 | (size_t)header[6] << 8 |
                  header[7];
    }
    r->left--;
    return take(r->attach, r->client, byte, 1, r->end, err);
}

/* One line without its end, cut where it is too long. */
static int take_line(struct report *r, char line[LINE_MAX_SIZE], struct error **err)
{
    size_t have = 0;
    char byte = '\0';

    do {
        if (take_byte(r, &byte, err) < 0)
            break;
        if (have < LINE_MAX_SIZE - 1)
            line[have++] = byte;
    } while (byte != '\n');
    while (have > 0 && isspace((unsigned char)line[have - 1]))
        have--;
    line[have] = '\0';
    return byte == '\n' ? 0 : -1;
}

static bool is_pid(const char *line, pid_t *pid)
{
    char *stop;
    long number = strtol(line, &stop, 10);

    *pid = (pid_t)number;
    return line[0] >= '1' && line[0] <= '9' && *stop == '\0' && number >= 2 && number <= INT32_MAX;
}

/* A shell may have something to say first, such as of a locale that the image
 * doesn't know. Where there is no shell, it is the engine that complains. */
static int take_leader(struct attach *attach, struct client *client, struct error **err)
{
    struct report report = {.attach = attach, .client = client, .end = now_ms() + REPORT_MS};
    char first[LINE_MAX_SIZE] = "", line[LINE_MAX_SIZE];
    int rc = 0;

    for (int i = 0; rc == 0 && i < REPORT_LINES; i++) {
        rc = take_line(&report, line, err);
        if (rc == 0 && is_pid(line, &attach->leader))
            return 0;
        if (first[0] == '\0')
            memcpy(first, line, sizeof first);
    }
    attach->leader = 0;
    if (*err && (error_kind(*err) == ERROR_ABANDONED || first[0] == '\0'))
        return -1;
    error_clear(err);
    return error_set(err, 0, "cannot run /bin/sh in it, by which its sessions start: %s", first);
}

int attach_exec(struct attach *attach, struct engine *engine, const char *name,
                const struct exec_command *command, bool local, struct client *client,
                struct error **err)
{
    cleanup_strings struct strings argv = {0};
    struct exec_command started = *command;
    struct error *lost = NULL;

    *attach = (struct attach){
        .engine = engine, .name = name, .tty = command->tty, .local = local, .init = -1};
    if (exec_script_start(&argv, command->argv) < 0)
        return error_set(err, ENOMEM, "command");
    started.argv = &argv;
    if (exec_create(engine, name, &started, attach->exec, err) < 0)
        return -1;
    attach->stream = exec_start(engine, attach->exec, attach->tty, err);
    if (!attach->stream || take_leader(attach, client, err) < 0)
        return -1;
    if (local) {
        attach->inspect = exec_inspect(engine, attach->exec, &lost);
        error_clear(&lost);
    }
    return 0;
}

static int set_window(struct attach *attach, const struct client *client, struct error **err)
{
    struct winsize size;

    if (!client_window(client, &size))
        return 0;
    cleanup_call struct http_call *call = exec_resize(attach->engine, attach->exec, size.ws_row,
                                                      size.ws_col, err);
    return call ? http_finish(engine_http(attach->engine), call, err) : -1;
}

int attach_exec_go(struct attach *attach, struct client *client, struct error **err)
{
    long long end = now_ms() + REPORT_MS;
    char echo[2];

    if (attach->tty && set_window(attach, client, err) < 0)
        return -1;
    if (hijack_write(attach->stream, "\n", 1) != 1)
        return error_set_kind(err, ERROR_LOST, "the engine broke off the exec");
    /* The terminal's echo of that line. */
    return attach->tty ? take(attach, client, echo, sizeof echo, end, err) : 0;
}
