#include "config.h"

#include "channel/attach.h"

#include "base/file.h"
#include "base/process.h"

#include <sys/wait.h>

int attach_start(struct attach *attach, struct engine *engine, const char *name, bool tty,
                 bool local, struct error **err)
{
    struct error *lost = NULL;

    *attach = (struct attach){
        .engine = engine, .name = name, .tty = tty, .local = local, .init = -1};
    /* Output and exit are both registered for before there can be any. */
    attach->stream = container_attach(engine, name, err);
    if (!attach->stream)
        return -1;
    attach->wait = container_wait(engine, name, err);
    if (!attach->wait)
        return -1;
    if (container_start(engine, name, err) < 0)
        return -1;
    if (local) {
        /* Without it the tail of a stalled session is less sure; no more. */
        attach->inspect = container_inspect(engine, name, &lost);
        error_clear(&lost);
    }
    return 0;
}

void attach_close(struct attach *attach)
{
    http_call_free(attach->control);
    http_call_free(attach->inspect);
    http_call_free(attach->wait);
    hijack_free(attach->stream);
    close_fd(&attach->init);
    *attach = (struct attach){.init = -1};
}

/* The inspect has answered. */
static void attach_watch_init(struct attach *attach)
{
    char id[CONTAINER_ID_SIZE];
    pid_t pid = container_inspect_pid(attach->inspect, id);

    if (pid > 0)
        attach->init = process_open(pid, id, &attach->init_known);
    /* It has ended already, or its end can't be seen from here. */
    if (attach->init < 0)
        attach->drain = true;
}

void attach_died(struct attach *attach)
{
    attach->died = attach->drain = true;
}

bool attach_exited(const struct attach *attach, int *status)
{
    int wait_status;

    if (!attach->died || !attach->init_known || !process_exit_status(attach->init, &wait_status))
        return false;
    *status = WIFSIGNALED(wait_status) ? 128 + WTERMSIG(wait_status) : WEXITSTATUS(wait_status);
    return true;
}

void attach_advance(struct attach *attach)
{
    if (attach->inspect && http_call_done(attach->inspect)) {
        attach_watch_init(attach);
        http_call_free(attach->inspect);
        attach->inspect = NULL;
    }
    if (attach->control && http_call_done(attach->control)) {
        http_call_free(attach->control);
        attach->control = NULL;
    }
    if (http_call_done(attach->wait))
        attach->ended = attach->drain = true;
}

bool attach_kill(struct attach *attach, int signal)
{
    struct error *lost = NULL;

    if (attach->control)
        return false;
    attach->control = container_kill(attach->engine, attach->name, signal, &lost);
    error_clear(&lost);
    return true;
}

bool attach_resize(struct attach *attach, const struct winsize *size)
{
    struct error *lost = NULL;

    if (attach->control)
        return false;
    attach->control = container_resize(attach->engine, attach->name, size->ws_row, size->ws_col,
                                       &lost);
    error_clear(&lost);
    return true;
}
