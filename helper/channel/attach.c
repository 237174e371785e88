#include "config.h"

#include "channel/attach.h"

#include "base/file.h"
#include "base/process.h"
#include "channel/exec_script.h"

#include <string.h>
#include <sys/wait.h>

enum {
    ASK_FIRST_MS = 5,
    ASK_LAST_MS = 500,
    /* Of one that lives and has no output any more. */
    ASK_ALIVE_MS = 1000,
    ASK_ALIVE_LAST_MS = 15000,
};

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
    attach->wait = NULL;
    hijack_free(attach->stream);
    close_fd(&attach->init);
    *attach = (struct attach){.init = -1};
}

static pid_t inspected_pid(struct attach *attach, char id[CONTAINER_ID_SIZE])
{
    struct exec_state state;
    cleanup_error struct error *lost = NULL;

    if (!attach->exec[0])
        return container_inspect_pid(attach->inspect, id);
    if (exec_state_read(attach->inspect, &state, &lost) < 0 || !state.running)
        return 0;
    memcpy(id, state.container, CONTAINER_ID_SIZE);
    return state.pid;
}

/* The inspect has answered. */
static void attach_watch_init(struct attach *attach)
{
    char id[CONTAINER_ID_SIZE];
    enum process_place place = PROCESS_ELSEWHERE;
    pid_t pid = inspected_pid(attach, id);

    if (pid > 0)
        attach->init = process_open(pid, id, &place);
    attach->init_known = place == PROCESS_THERE;
    /* An exec's end is no end of the container, by which a stranger's pid would be
     * found out. */
    if (attach->exec[0] && !attach->init_known)
        close_fd(&attach->init);
    /* It has ended already, or its end can't be seen from here. */
    if (attach->init < 0)
        attach->drain = true;
}

/* An exec has no wait: its state is asked for when it should have ended. */
static void ask_in(struct attach *attach, long ms)
{
    if (!attach->exec[0] || attach->ended)
        return;
    attach->ask_wait = ms;
    if (!attach->wait)
        attach->ask_at = now_ms() + (ms > ASK_FIRST_MS ? ms : 0);
}

void attach_died(struct attach *attach)
{
    attach->died = attach->drain = true;
    ask_in(attach, ASK_FIRST_MS);
}

/* One that has only closed its output runs on, and its pidfd tells its end. But so does one
 * that lives on without its engine (live-restore), and this one's stream is lost. */
void attach_output_ended(struct attach *attach)
{
    ask_in(attach, attach->init < 0 || attach->died ? ASK_FIRST_MS : ASK_ALIVE_MS);
}

int attach_wake_ms(const struct attach *attach)
{
    long long left = attach->ask_at - now_ms();

    if (!attach->ask_at)
        return -1;
    return left > 0 ? (int)left : 0;
}

bool attach_answered(const struct attach *attach)
{
    return attach->exec[0] ? attach->ended : http_call_done(attach->wait);
}

int attach_status(struct attach *attach, int *status, struct error **err)
{
    struct exec_state state;

    if (!attach->exec[0])
        return container_wait_status(attach->wait, status, err);
    if (exec_state_read(attach->wait, &state, err) < 0)
        return -1;
    *status = state.status;
    return 0;
}

bool attach_exited(const struct attach *attach, int *status)
{
    int wait_status;

    if (!attach->died || !attach->init_known || !process_exit_status(attach->init, &wait_status))
        return false;
    *status = WIFSIGNALED(wait_status) ? 128 + WTERMSIG(wait_status) : WEXITSTATUS(wait_status);
    return true;
}

static void ask(struct attach *attach)
{
    cleanup_error struct error *lost = NULL;

    attach->ask_at = 0;
    attach->wait = exec_inspect(attach->engine, attach->exec, &lost);
    if (!attach->wait)
        attach->ask_at = now_ms() + attach->ask_wait;
}

/* The engine hears of an exec's end a little later than the kernel. */
static void take_state(struct attach *attach)
{
    struct exec_state state;
    cleanup_error struct error *lost = NULL;

    if (exec_state_read(attach->wait, &state, &lost) == 0 && state.running) {
        const long most = attach->init < 0 || attach->died ? ASK_LAST_MS : ASK_ALIVE_LAST_MS;
        http_call_free(attach->wait);
        attach->wait = NULL;
        attach->ask_at = now_ms() + attach->ask_wait;
        attach->ask_wait = attach->ask_wait * 2 < most ? attach->ask_wait * 2 : most;
        return;
    }
    attach->ended = attach->drain = true;
}

/* The second half of a kill in an exec's container. */
static void control_done(struct attach *attach)
{
    cleanup_error struct error *lost = NULL;
    struct http_call *next = NULL;

    if (attach->control_made)
        next = exec_let_run(attach->engine, attach->control, &lost);
    attach->control_made = false;
    http_call_free(attach->control);
    attach->control = next;
}

void attach_advance(struct attach *attach)
{
    if (attach->inspect && http_call_done(attach->inspect)) {
        attach_watch_init(attach);
        http_call_free(attach->inspect);
        attach->inspect = NULL;
    }
    if (attach->control && http_call_done(attach->control))
        control_done(attach);
    if (!attach->exec[0]) {
        if (http_call_done(attach->wait))
            attach->ended = attach->drain = true;
        return;
    }
    if (attach->wait && http_call_done(attach->wait) && !attach->ended)
        take_state(attach);
    if (attach->ask_at && now_ms() >= attach->ask_at)
        ask(attach);
}

static void exec_kill(struct attach *attach, int signal, struct error **err)
{
    cleanup_strings struct strings argv = {0};

    if (exec_script_signal(&argv, attach->leader, signal) < 0)
        return;
    attach->control = exec_make(attach->engine, attach->name, &argv, err);
    attach->control_made = attach->control != NULL;
}

bool attach_kill(struct attach *attach, int signal)
{
    struct error *lost = NULL;

    if (attach->control)
        return false;
    if (attach->exec[0])
        exec_kill(attach, signal, &lost);
    else
        attach->control = container_kill(attach->engine, attach->name, signal, &lost);
    error_clear(&lost);
    return true;
}

bool attach_resize(struct attach *attach, const struct winsize *size)
{
    struct error *lost = NULL;

    if (attach->control)
        return false;
    if (attach->exec[0])
        attach->control = exec_resize(attach->engine, attach->exec, size->ws_row, size->ws_col,
                                      &lost);
    else
        attach->control = container_resize(attach->engine, attach->name, size->ws_row, size->ws_col,
                                           &lost);
    error_clear(&lost);
    return true;
}
