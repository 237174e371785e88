#include "config.h"

#include "session/teardown.h"

#include "base/file.h"
#include "channel/exec_script.h"
#include "engine/exec.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <string.h>
#include <syslog.h>

enum {
    /* An engine that is away is asked again for so long; a later login's sweep
     * finds what is left. */
    GIVE_UP_MS = 10 * 60 * 1000,
    /* A create that was given up comes into being within its own limit, and
     * some more on a busy machine. */
    LATE_CREATE_MS = ENGINE_CREATE_MS + 10000,
    RETRY_FIRST_MS = 100,
    RETRY_LAST_MS = 5000,
    /* For hanging a session up, its grace apart. */
    HANG_UP_MS = 10000,
};

/* Removes the session's container; true when it is sure that there is none. A
 * create that was given up `may_come` after a DELETE that found nothing. */
static bool remove_container(struct engine *engine, const struct owner *owner, bool may_come,
                             long long give_up)
{
    long wait = RETRY_FIRST_MS;
    long long late = 0; /* from the first answer on: an engine that was stopped has all to do yet */

    for (;;) {
        cleanup_error struct error *err = NULL;
        bool found = false;
        bool answered = owner_delete(engine, owner, &found, &err) == 0;

        if (answered && (found || !may_come))
            return true;
        if (!answered)
            late = 0;
        else if (late == 0)
            late = now_ms() + LATE_CREATE_MS;
        else if (now_ms() > late)
            return false;
        if (now_ms() > give_up) {
            syslog(LOG_ERR, "session=%s cannot remove its container: %s", owner->key,
                   err ? error_text(err) : "not found");
            return false;
        }
        pause_ms(wait);
        wait = wait * 2 < RETRY_LAST_MS ? wait * 2 : RETRY_LAST_MS;
    }
}

bool teardown_remove(const struct http_target *target, const struct owner *owner, bool may_come)
{
    cleanup_error struct error *err = NULL;
    struct engine *engine = engine_new(target, &err);
    bool gone = engine && remove_container(engine, owner, may_come, now_ms() + GIVE_UP_MS);

    engine_free(engine);
    return gone;
}

int teardown_was_stopped(const struct http_target *target, const struct owner *owner, pid_t pid)
{
    cleanup_error struct error *err = NULL;
    struct owned owned;
    int stopped = -1;
    struct engine *engine = engine_new(target, &err);

    if (engine && engine_settle(engine, &err) == 0) {
        if (owner_ask(engine, owner, &owned, &err) < 0)
            stopped = error_kind(err) == ERROR_NOT_FOUND ? 0 : -1;
        else if (owned.ours && owned.state.running)
            stopped = owned.state.pid != pid ? 1 : -1;
        else
            stopped = owner_was_stopped(&owned);
    }
    engine_free(engine);
    return stopped;
}

/* One try: 1 it is there as it was; 0 it isn't; -1 ask again. */
static int try_spare(struct engine *engine, const struct owner *owner, const char *id, pid_t pid,
                     struct error **err)
{
    struct owned owned;

    if (engine_settle(engine, err) < 0)
        return -1;
    if (owner_ask(engine, owner, &owned, err) < 0)
        return error_kind(*err) == ERROR_NOT_FOUND ? 0 : -1;
    if (!owned.ours || owned.state.dead || strcmp(owned.state.id, id) != 0)
        return 0;
    if (owned.state.running && owned.state.pid != pid && container_stop(engine, id, err) < 0)
        return -1;
    return 1;
}

bool teardown_spare(const struct http_target *target, const struct owner *owner, const char *id,
                    pid_t pid)
{
    const long long give_up = now_ms() + GIVE_UP_MS;
    cleanup_error struct error *err = NULL;
    struct engine *engine = engine_new(target, &err);
    int spared = -1;

    while (engine && (spared = try_spare(engine, owner, id, pid, &err)) < 0 && now_ms() < give_up) {
        error_clear(&err);
        pause_ms(RETRY_LAST_MS);
    }
    engine_free(engine);
    return spared != 0;
}

bool teardown_stop(const struct http_target *target, const char *id, const char *session)
{
    const long long give_up = now_ms() + GIVE_UP_MS;
    cleanup_error struct error *err = NULL;
    struct engine *engine = engine_new(target, &err);
    bool done = false;

    while (engine && !done && now_ms() < give_up) {
        error_clear(&err);
        done = (engine_settle(engine, &err) == 0 && container_stop(engine, id, &err) == 0) ||
               error_kind(err) == ERROR_NOT_FOUND;
        if (!done)
            pause_ms(RETRY_LAST_MS);
    }
    if (!done)
        syslog(LOG_ERR, "session=%s cannot stop its container: %s", session, error_text(err));
    engine_free(engine);
    return done;
}

/* Its one word. The stream's end can come seconds later, when another exec has ended
 * whose streams are still held. */
static void await_word(struct hijack *stream, long long end)
{
    struct pollfd fd = {.fd = hijack_fd(stream), .events = POLLIN};
    char nothing[512];
    long long left;

    while ((left = end - now_ms()) > 0) {
        if (hijack_read(stream, nothing, sizeof nothing) >= 0 ||
            (errno != EAGAIN && errno != EINTR))
            return;
        (void)poll(&fd, 1, left < INT_MAX ? (int)left : INT_MAX);
    }
}

static int run_hang_up(struct engine *engine, const char *container, pid_t leader, long long grace,
                       struct error **err)
{
    cleanup_strings struct strings argv = {0};
    const struct exec_command command = {.argv = &argv, .attach = true};
    char id[EXEC_ID_SIZE];

    if (exec_script_hang_up(&argv, leader, grace) < 0)
        return error_set(err, ENOMEM, "hang-up");
    if (exec_create(engine, container, &command, id, err) < 0)
        return -1;
    struct hijack *stream = exec_start(engine, id, false, err);
    if (stream)
        await_word(stream, now_ms() + grace * 1000 + HANG_UP_MS);
    hijack_free(stream);
    return stream ? 0 : -1;
}

/* One that is paused can't be asked: true when there is nothing to be done any
 * more. */
static bool try_hang_up(struct engine *engine, const char *container, pid_t leader, long long grace,
                        struct error **err)
{
    struct container_state state;

    if (engine_settle(engine, err) < 0)
        return false;
    if (run_hang_up(engine, container, leader, grace, err) == 0 ||
        error_kind(*err) == ERROR_NOT_FOUND)
        return true;
    if (error_kind(*err) != ERROR_CONFLICT)
        return false;
    error_clear(err);
    if (container_ask(engine, container, &state, NULL, NULL, err) < 0)
        return error_kind(*err) == ERROR_NOT_FOUND;
    if (state.paused)
        error_set(err, 0, "it is paused");
    return !state.paused;
}

void teardown_hang_up(const struct http_target *target, const char *container, pid_t leader,
                      long long grace)
{
    const long long give_up = now_ms() + GIVE_UP_MS;
    cleanup_error struct error *err = NULL;
    long wait = RETRY_FIRST_MS;
    struct engine *engine = engine_new(target, &err);

    while (engine && !try_hang_up(engine, container, leader, grace, &err)) {
        if (now_ms() > give_up) {
            syslog(LOG_ERR, "container %s: cannot hang a session up: %s", container,
                   error_text(err));
            break;
        }
        error_clear(&err);
        pause_ms(wait);
        wait = wait * 2 < RETRY_LAST_MS ? wait * 2 : RETRY_LAST_MS;
    }
    engine_free(engine);
}
