#include "config.h"

#include "session/by_exec.h"

#include "base/file.h"
#include "channel/attach.h"
#include "session/command.h"
#include "session/confine.h"
#include "session/creation.h"
#include "session/environment.h"
#include "session/forwarding.h"
#include "session/owner.h"
#include "session/sftp_log.h"
#include "session/shared.h"
#include "session/upkeep.h"

#include <string.h>

struct joining {
    struct session *session;
    struct engine *engine;
    struct attach *attach;
    const struct exec_command *command;
    struct watcher hang_up;       /* ends in the container what a lost client leaves */
    struct watcher_leader leader; /* what it is told */
    unsigned makes;
};

/* Not before somebody is to be asked: who watches the container is forked without
 * it. */
static struct engine *reach(struct joining *j, struct error **err)
{
    if (j->engine)
        return j->engine;
    j->engine = creation_reach(j->session, err);
    if (j->engine)
        http_set_watch(engine_http(j->engine), client_watch(&j->session->client));
    return j->engine;
}

static int make(void *data, struct json_object *body, struct record *made, struct error **err)
{
    struct joining *j = data;

    j->makes++;
    if (forwarding_mounts(j->session)) {
        cleanup_fd int folder = forwarding_make_folder(j->session, err);
        if (folder < 0)
            return -1;
    }
    return reach(j, err) ? creation_make(j->session, j->engine, body, made, err) : -1;
}

/* The watcher first: it shares the lock that we hold now. */
static struct engine *reach_watched(struct joining *j, struct error **err)
{
    struct session *s = j->session;
    const struct watcher_task container = shared_watch(s);
    const struct watcher_exec task = {.container = &container,
                                      .grace = s->policy->hangup_grace,
                                      .keep = s->policy->scope == SCOPE_USER};

    if (watcher_start_exec(&j->hang_up, &task, err) < 0)
        return NULL;
    forwarding_start(s);
    return reach(j, err);
}

/* What ends in the very moment says so in the runtime's words, and may do so before the engine
 * knows. Of a client that went away meanwhile *err tells instead. */
static bool has_ended(const struct joining *j, const struct record *record, struct error **err)
{
    const struct session *s = j->session;
    const struct owner owner = {s->machine, s->request.account.uid, s->key};
    struct error *asked = NULL;
    struct owned owned;

    if (owner_ask_noticed(j->engine, &owner, s->target.socket != NULL, &owned, &asked) == 0)
        return !owned.state.running || strcmp(owned.state.id, record->id) != 0 ||
               owned.state.pid != record->pid;
    const bool gone = error_kind(asked) == ERROR_NOT_FOUND;
    if (error_kind(asked) == ERROR_ABANDONED) {
        error_clear(err);
        *err = asked;
    } else {
        error_clear(&asked);
    }
    return gone;
}

/* It can't be joined as it is: paused, ended, or gone. */
static enum shared_join revive(struct joining *j, const struct record *record, struct error **err)
{
    struct container_state state;
    bool gone = error_kind(*err) == ERROR_NOT_FOUND;

    error_clear(err);
    if (!gone && container_ask(j->engine, record->id, &state, NULL, NULL, err) < 0) {
        gone = error_kind(*err) == ERROR_NOT_FOUND;
        if (!gone)
            return SHARED_FAILED;
        error_clear(err);
    }
    if (!gone && state.running && state.paused)
        return container_unpause(j->engine, record->id, err) < 0 ? SHARED_FAILED : SHARED_AGAIN;
    /* One that was only started again may have lost what it needs: it is made anew. */
    if (j->makes < 2)
        return SHARED_DEAD;
    error_set(err, 0,
              "container %s ended at once: scope = %s needs a sleep(1) in the image on the attach "
              "channel",
              j->session->container,
              j->session->policy->scope == SCOPE_USER ? "user" : "connection");
    return SHARED_FAILED;
}

static enum shared_join join(void *data, const struct record *record, struct error **err)
{
    struct joining *j = data;
    struct session *s = j->session;

    if (!reach_watched(j, err))
        return SHARED_FAILED;
    memcpy(j->leader.container, record->id, sizeof j->leader.container);
    if (attach_exec(j->attach, j->engine, j->leader.container, j->command, s->target.socket != NULL,
                    &s->client, err) == 0)
        return SHARED_RUNS;
    bool unusable = error_kind(*err) == ERROR_NOT_FOUND || error_kind(*err) == ERROR_CONFLICT ||
                    (error_kind(*err) == ERROR_OTHER && has_ended(j, record, err));
    forwarding_stop(s);
    attach_close(j->attach);
    close_fd(&j->hang_up.pipe);
    if (unusable)
        return revive(j, record, err);
    error_wrap(err, "container %s", s->container);
    return SHARED_FAILED;
}

static int start(struct joining *j, struct error **err)
{
    struct session *s = j->session;
    const struct shared_way way = {make, join, j};

    if (shared_start(s, &way, err) < 0)
        return -1;
    j->leader.pid = j->attach->leader;
    watcher_tell_leader(&j->hang_up, &j->leader);
    return attach_exec_go(j->attach, &s->client, err);
}

/* The last use of the container that the file's time tells (watcher.c, sweep.c). */
static void note_use(const struct session *s)
{
    if (s->lease.lock >= 0)
        lease_note(&s->lease, WATCHER_KEPT);
}

static int relay(struct joining *j, struct error **err)
{
    struct session *s = j->session;
    struct sftp_log log;
    bool back = false;

    if (sftp_log_begin(&log, s))
        j->attach->tap = &log.tap;
    int rc = confine(s, &back, err);
    if (rc == 0)
        rc = relay_run(&s->client, j->attach, &s->result, err);
    sftp_log_end(&log);
    return rc < 0 ? error_wrap(err, "session lost") : 0;
}

static int run(struct joining *j, struct error **err)
{
    struct session *s = j->session;

    if (start(j, err) < 0)
        return -1;
    session_begun(s);
    note_use(s);
    upkeep_run(s);
    if (relay(j, err) < 0)
        return -1;
    if (s->result.end == RELAY_EXIT)
        watcher_tell(&j->hang_up, WATCHER_IDLE);
    return 0;
}

int by_exec(struct session *s, struct error **err)
{
    cleanup_strings struct strings argv = {0}, env = {0};
    struct attach attach = {.init = -1};
    const struct exec_command command = {
        .argv = &argv, .env = &env, .attach = true, .tty = s->request.tty};
    const struct command_context context = {.bundle = s->target.socket != NULL};
    struct joining j = {
        .session = s, .attach = &attach, .command = &command, .hang_up = {.pipe = -1}};

    if (command_make(&argv, s->policy, &s->request, &context, err) < 0 ||
        environment_make(&env, s->policy, &s->request, false, err) < 0)
        return -1;
    client_watch(&s->client);
    int rc = run(&j, err);
    note_use(s);
    attach_close(&attach);
    engine_free(j.engine);
    close_fd(&j.hang_up.pipe);
    return rc;
}
