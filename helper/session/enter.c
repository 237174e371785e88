#include "config.h"

#include "session/enter.h"

#include "base/file.h"
#include "channel/attach.h"
#include "channel/relay.h"
#include "engine/listing.h"
#include "policy/policy.h"
#include "session/audit.h"
#include "session/command.h"
#include "session/identity.h"
#include "session/lease.h"
#include "session/guise.h"
#include "session/owner.h"
#include "session/place.h"
#include "session/watcher.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    CANDIDATES_MAX = 1000,
    GRACE = 5, /* s, from SIGHUP to SIGKILL for what a lost terminal leaves */
};

/* One that may be entered. */
struct candidate {
    char name[CONTAINER_NAME_SIZE];
    char key[LEASE_SESSION_SIZE];
};

struct search {
    const struct enter *enter;
    const char *runtime_dir;
    char machine[MACHINE_SIZE];
    struct candidate *found;
    size_t count;
    bool failed;
};

/* Where it is. */
struct place {
    char name[CONTAINER_NAME_SIZE];
    char key[LEASE_SESSION_SIZE];
    char id[CONTAINER_ID_SIZE];
};

static bool label_is(const struct listed *container, const char *key, const char *value)
{
    const char *label = listed_label(container, key);

    return label && strcmp(label, value) == 0;
}

/* The labels are what anybody's image may have: the name must follow from them, and
 * the user's name must be this one's, whoever else has the uid. */
static void take_listed(void *data, const struct listed *container)
{
    struct search *search = data;
    const struct account *account = search->enter->account;
    struct owner owner;

    if (search->count >= CANDIDATES_MAX || !label_is(container, LABEL_MACHINE, search->machine) ||
        !label_is(container, LABEL_RUNTIME, search->runtime_dir) ||
        !label_is(container, LABEL_USER, account->name) ||
        !owner_read(&owner, search->machine, container->name, listed_label(container, LABEL_UID),
                    listed_label(container, LABEL_SESSION)) ||
        owner.uid != account->uid)
        return;
    struct candidate *bigger = reallocarray(search->found, search->count + 1, sizeof *bigger);
    if (!bigger) {
        search->failed = true;
        return;
    }
    search->found = bigger;
    struct candidate *c = &bigger[search->count++];
    snprintf(c->name, sizeof c->name, "%s", container->name);
    snprintf(c->key, sizeof c->key, "%s", owner.key);
}

static int list(struct search *search, struct engine *engine, struct error **err)
{
    cleanup_strings struct strings labels = {0};

    if (strings_take(&labels, text_format("%s=%s", LABEL_MACHINE, search->machine)) < 0 ||
        strings_take(&labels, text_format("%s=%s", LABEL_RUNTIME, search->runtime_dir)) < 0 ||
        strings_take(&labels,
                     text_format("%s=%u", LABEL_UID, (unsigned)search->enter->account->uid)) < 0)
        return error_set(err, ENOMEM, "list of containers");
    if (listing_run(engine, &labels, take_listed, search, err) < 0)
        return -1;
    return search->failed ? error_set(err, ENOMEM, "list of containers") : 0;
}

/* Nobody is in it: it waits for a login. */
static bool stands_by(const struct search *search, const char *key)
{
    cleanup_error struct error *ignored = NULL;
    struct lease lease = {.dir = -1, .lock = -1};
    char state = '\0';

    if (lease_find(&lease, search->runtime_dir, search->enter->account->uid, key, &ignored) < 0)
        return false;
    cleanup_fd int file = lease_peek(&lease);
    if (file >= 0 && pread(file, &state, 1, 0) != 1)
        state = '\0';
    lease_close(&lease);
    return state == WATCHER_STANDBY;
}

/* 1: it may be entered, and its id is in `place`; 0: not that one. */
static int consider(const struct search *search, struct engine *engine, const struct candidate *c,
                    struct place *place, struct error **err)
{
    const struct enter *e = search->enter;
    const struct owner owner = {search->machine, e->account->uid, c->key};
    struct owned owned;

    if (e->container ? strcmp(e->container, c->name) != 0 : stands_by(search, c->key))
        return 0;
    if (owner_ask(engine, &owner, &owned, err) < 0) {
        if (error_kind(*err) != ERROR_NOT_FOUND)
            return -1;
        error_clear(err);
        return 0;
    }
    if (!owned.ours || !owned.state.running)
        return 0;
    if (owned.state.paused)
        return error_set(err, 0, "container %s is paused: docker unpause %s", c->name, c->name);
    memcpy(place->name, c->name, sizeof place->name);
    memcpy(place->key, c->key, sizeof place->key);
    memcpy(place->id, owned.state.id, sizeof place->id);
    return 1;
}

static int choose(const struct search *search, struct engine *engine, struct place *place,
                  struct strings *several, struct error **err)
{
    const struct enter *e = search->enter;

    for (size_t i = 0; i < search->count; i++) {
        int got = consider(search, engine, &search->found[i], place, err);
        if (got < 0 || (got > 0 && strings_add(several, place->name) < 0))
            return *err ? -1 : error_set(err, ENOMEM, "list of containers");
    }
    if (several->count > 1)
        return error_set(err, 0, "%s has %zu running containers: choose one by --container",
                         e->account->name, several->count);
    strings_free(several);
    if (place->name[0])
        return 0;
    if (e->container)
        return error_set(err, 0, "%s has no running container of berth's that is named %s",
                         e->account->name, e->container);
    return error_set(err, 0, "%s has no running container", e->account->name);
}

static struct engine *reach(const struct policy *policy, const struct http_target *target,
                            struct error **err)
{
    struct engine *engine = engine_new(target, err);

    if (engine && engine_negotiate(engine, err) < 0) {
        place_unreached(policy, err);
        engine_free(engine);
        return NULL;
    }
    return engine;
}

/* With an engine of its own, which is gone when the watcher is forked. */
static int find(const struct enter *enter, const struct policy *policy,
                const struct http_target *target, struct place *place, struct strings *several,
                struct error **err)
{
    struct search search = {.enter = enter, .runtime_dir = policy->runtime_dir};
    struct engine *engine = reach(policy, target, err);
    int rc = engine ? 0 : -1;

    *place = (struct place){0};
    identity_machine(search.machine);
    if (rc == 0)
        rc = list(&search, engine, err);
    if (rc == 0)
        rc = choose(&search, engine, place, several, err);
    free(search.found);
    engine_free(engine);
    return rc;
}

/* Nothing of the policy but the shell: what limits the user's commands doesn't limit
 * the administrator's. */
static int command_argv(struct strings *argv, const struct enter *enter, struct error **err)
{
    static char root[] = "0";
    cleanup_error struct error *unmapped = NULL;
    cleanup_policy struct policy *policy = NULL;
    const struct request request = {.kind = REQUEST_SHELL};

    for (size_t i = 0; i < enter->command->count; i++)
        if (strings_add(argv, enter->command->items[i]) < 0)
            return error_set(err, ENOMEM, "command");
    if (argv->count > 0)
        return 0;
    policy = policy_load(enter->config, enter->account, &unmapped);
    cleanup_string char *uid = text_format("%u", (unsigned)enter->account->uid);
    const struct command_context context = {0};
    struct policy shell = {.shell = policy ? policy->shell : NULL,
                           .user = uid,
                           .umask = policy ? policy->umask : DEFAULT_UMASK};
    if (policy && policy->user)
        shell.user = policy->user;
    if (enter->root)
        shell.user = root;
    if (!shell.user)
        return error_set(err, ENOMEM, "command");
    return command_make(argv, &shell, &request, &context, err);
}

static int command_env(struct strings *env, const struct enter *enter, bool tty, struct error **err)
{
    const char *name = enter->root ? "root" : enter->account->name;

    if (strings_take(env, text_format("USER=%s", name)) < 0 ||
        strings_take(env, text_format("LOGNAME=%s", name)) < 0 ||
        (tty && enter->term && strings_take(env, text_format("TERM=%s", enter->term)) < 0))
        return error_set(err, ENOMEM, "environment");
    return 0;
}

/* What the steps hand on. */
struct visit {
    struct audit_visit audit;
    struct text command; /* its string */
    const struct enter *enter;
    const struct place *place;
    const struct policy *policy;
    const struct http_target *target;
    struct client client;
    struct relay_result result;
    struct watcher watcher;
};

static void audit_make(struct visit *v)
{
    const struct enter *e = v->enter;

    for (size_t i = 0; i < e->command->count; i++)
        text_printf(&v->command, "%s%s", i ? " " : "", e->command->items[i]);
    v->audit = (struct audit_visit){.account = e->account,
                                    .container = v->place->name,
                                    .key = v->place->key,
                                    .by = e->by ? e->by : "",
                                    .by_uid = e->by_uid,
                                    .as_root = e->root,
                                    .tty = v->client.tty,
                                    .command = text_str(&v->command)};
}

static int begin(struct visit *v, struct engine *engine, struct attach *attach, struct error **err)
{
    cleanup_strings struct strings argv = {0}, env = {0};
    const struct exec_command command = {.argv = &argv,
                                         .env = &env,
                                         .user = v->enter->root ? "0:0" : NULL,
                                         .attach = true,
                                         .tty = v->client.tty};
    struct watcher_leader leader = {0};

    if (command_argv(&argv, v->enter, err) < 0 ||
        command_env(&env, v->enter, v->client.tty, err) < 0 ||
        attach_exec(attach, engine, v->place->id, &command, v->target->socket != NULL, &v->client,
                    err) < 0)
        return -1;
    leader.pid = attach->leader;
    memcpy(leader.container, v->place->id, sizeof leader.container);
    watcher_tell_leader(&v->watcher, &leader);
    audit_make(v);
    audit_enter(v->policy->audit_format, &v->audit);
    return attach_exec_go(attach, &v->client, err);
}

static int converse(struct visit *v, struct error **err)
{
    struct attach attach = {.init = -1};
    struct engine *engine = reach(v->policy, v->target, err);
    int rc = -1;

    if (engine) {
        http_set_watch(engine_http(engine), client_watch(&v->client));
        rc = begin(v, engine, &attach, err);
    }
    if (rc < 0) {
        error_wrap(err, "container %s", v->place->name);
    } else {
        client_raw(&v->client);
        rc = relay_run(&v->client, &attach, &v->result, err);
        if (rc == 0 && v->result.end == RELAY_EXIT)
            watcher_tell(&v->watcher, WATCHER_IDLE);
        audit_leave(v->policy->audit_format, &v->audit, v->result.status,
                    rc < 0                        ? "error"
                    : v->result.end == RELAY_EXIT ? "exit"
                                                  : "client-gone");
    }
    attach_close(&attach);
    engine_free(engine);
    return rc;
}

/* From here on the process leads the client's end; who hangs up what it leaves is
 * forked first. */
static int visit(struct visit *v, struct error **err)
{
    const struct lease none = {.dir = -1, .lock = -1};
    const struct watcher_task task = {.target = v->target, .lease = &none, .connection = -1};
    const struct watcher_exec exec = {.container = &task, .grace = GRACE};

    if (client_open(&v->client, isatty(0) && isatty(1), err) < 0)
        return -1;
    client_watch(&v->client);
    int rc = watcher_start_exec(&v->watcher, &exec, err);
    if (rc == 0)
        rc = converse(v, err);
    client_close(&v->client);
    close_fd(&v->watcher.pipe);
    text_free(&v->command);
    return rc;
}

int enter_run(const struct enter *enter, struct strings *several, int *status, struct error **err)
{
    bool each;
    cleanup_policy struct policy *policy = policy_load_engine(enter->config, enter->account, &each,
                                                              err);
    struct place place;
    struct guise before;

    if (!policy)
        return -1;
    const struct engine_config *engine = &policy->engine;
    const struct http_target target = {.socket = engine->socket,
                                       .host = engine->host,
                                       .tls_ca = engine->tls_ca,
                                       .tls_cert = engine->tls_cert,
                                       .tls_key = engine->tls_key};
    struct visit v = {.enter = enter,
                      .place = &place,
                      .policy = policy,
                      .target = &target,
                      .watcher = {.pipe = -1}};
    int rc = guise_for_engine(&before, enter->config, policy, enter->account->uid,
                              enter->account->gid, err);
    if (rc == 0)
        rc = find(enter, policy, &target, &place, several, err);
    if (rc == 0)
        rc = visit(&v, err);
    guise_drop(&before);
    if (rc < 0)
        return -1;
    *status = v.result.end == RELAY_EXIT ? v.result.status : 128 + SIGHUP;
    return 0;
}
