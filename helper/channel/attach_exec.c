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

/* The first line, without its end: with a terminal as it comes, else out of one
 * frame. Where there is no shell, it is the engine's complaint. */
static int take_line(struct attach *attach, struct client *client, char line[LINE_MAX_SIZE],
                     long long end, struct error **err)
{
    unsigned char header[FRAME_HEADER];
    size_t most = LINE_MAX_SIZE - 1, have = 0;

    if (!attach->tty) {
        if (take(attach, client, (char *)header, sizeof header, end, err) < 0)
            return -1;
        size_t len = (size_t)header[4] << 24 | (size_t)header[5] << 16 | (size_t)header[6] << 8 |
                     header[7];
        most = len < most ? len : most;
    }
    while (have < most && (have == 0 || line[have - 1] != '\n'))
        if (take(attach, client, line + have++, 1, end, err) < 0)
            return -1;
    while (have > 0 && isspace((unsigned char)line[have - 1]))
        have--;
    line[have] = '\0';
    return 0;
}

static int take_leader(struct attach *attach, struct client *client, struct error **err)
{
    char line[LINE_MAX_SIZE] = "", *stop;

    if (take_line(attach, client, line, now_ms() + REPORT_MS, err) < 0)
        return -1;
    long pid = strtol(line, &stop, 10);
    if (line[0] < '1' || line[0] > '9' || *stop || pid < 2 || pid > INT32_MAX)
        return error_set(err, 0, "cannot run /bin/sh in it, by which its sessions start: %s", line);
    attach->leader = (pid_t)pid;
    return 0;
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
