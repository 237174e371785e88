#include "config.h"

#include "session/creation.h"

#include "base/file.h"
#include "channel/door.h"
#include "session/errand.h"
#include "session/forwarding.h"
#include "session/owner.h"
#include "session/place.h"
#include "session/shared.h"

#include <errno.h>
#include <json-c/json.h>
#include <stdio.h>
#include <string.h>
#include <syslog.h>
#include <time.h>

enum {
    /* For an engine that is removing a container, as a busy one may for a while; and how
     * often it is asked for the name again. */
    REMOVAL_MS = 30000,
    REMOVAL_LOOK_MS = 50,
    REMOVAL_LOOK_LAST_MS = 1000,
};

char *creation_folder(const struct session *s)
{
    return text_format("%s/%u/%s", s->policy->runtime_dir, (unsigned)s->request.account.uid,
                       s->key);
}

/* For the hash alone: what their files are called says it for none of them. */
static int mark_names(const struct session *s, struct json_object *body, struct error **err)
{
    const enum names_way way = names_way(s);
    cleanup_string char *text = way == NAMES_NONE ? NULL : names_text(s);

    if (way != NAMES_NONE && !text)
        return error_set(err, ENOMEM, "create body");
    if (text)
        json_object_object_add(body, "names", json_object_new_string(text));
    return 0;
}

/* For the hash alone: who watches it is another, its guest or a watcher (shared.c). */
static void mark_forwarding(const struct session *s, struct json_object *body)
{
    if (s->policy->forwarding)
        json_object_object_add(body, "forwarding", json_object_new_boolean(true));
}

static struct spec_context context_of(const struct session *s)
{
    return (struct spec_context){.process = s->direct ? SPEC_GUEST : SPEC_KEEPER,
                                 .machine = s->machine,
                                 .local = s->target.socket != NULL,
                                 .x11 = forwarding_mounts_x11(s),
                                 .network = s->network[0] ? s->network : NULL};
}

static bool mounts_folder(const struct session *s)
{
    return s->direct || forwarding_mounts(s);
}

int creation_policy(const struct session *s, char policy[SPEC_HASH_SIZE], struct error **err)
{
    struct spec_context context = context_of(s);

    /* The same for each container of the policy's. */
    context.folder = mounts_folder(s) ? GUEST_RUN : NULL;
    context.key = "";
    struct json_object *body = spec_make(s->policy, &s->request, &context, err);
    int rc = body ? mark_names(s, body, err) : -1;
    if (rc == 0)
        mark_forwarding(s, body);
    if (rc == 0)
        spec_hash(policy, body);
    json_object_put(body);
    return rc;
}

struct json_object *creation_body(const struct session *s, const char *policy, struct error **err)
{
    struct spec_context context = context_of(s);
    cleanup_string char *folder = creation_folder(s);

    if (!folder) {
        error_set(err, ENOMEM, "path of the runtime directory");
        return NULL;
    }
    context.folder = mounts_folder(s) ? folder : NULL;
    context.key = s->key;
    struct json_object *body = spec_make(s->policy, &s->request, &context, err);
    if (body)
        json_object_object_add(json_object_object_get(body, "Labels"), LABEL_POLICY,
                               json_object_new_string(policy));
    return body;
}

struct engine *creation_reach(const struct session *s, struct error **err)
{
    struct engine *engine = engine_new(&s->target, err);

    if (engine && engine_negotiate(engine, err) < 0) {
        place_unreached(s->policy, err);
        engine_free(engine);
        return NULL;
    }
    return engine;
}

static const char *policy_of(struct json_object *body)
{
    struct json_object *labels = json_object_object_get(body, "Labels");

    const char *hash = json_object_get_string(json_object_object_get(labels, LABEL_POLICY));
    return hash ? hash : "";
}

/* Not where the image is gone: what was made of it is all there is of it. */
static bool image_is_other(struct engine *engine, const char *name, const char *id)
{
    char now[IMAGE_ID_SIZE];
    cleanup_error struct error *err = NULL;

    return image_ask(engine, name, now, &err) == 0 && strcmp(now, id) != 0;
}

static bool is_outdated(const struct policy *p, struct engine *engine, struct json_object *body,
                        const struct owned *owned)
{
    return strcmp(owned->policy, policy_of(body)) != 0 ||
           image_is_other(engine, p->image, owned->state.image);
}

/* Or has started again since, as a login does that broke off then: its guest is nobody's. */
static bool was_stopped(const struct record *before, const struct owned *owned)
{
    const struct container_state *state = &owned->state;

    return before && strcmp(state->id, before->id) == 0 &&
           (owner_was_stopped(owned) || (state->running && state->pid != before->pid));
}

/* With on_idle = stop, whatever ended it; else what somebody has stopped. */
static bool is_to_be_started(const struct session *s, struct engine *engine,
                             struct json_object *body, const struct owned *owned)
{
    const struct policy *p = s->policy;

    if (policy_keeps(p))
        return owned->keep && (p->replace != REPLACE_IDLE || !is_outdated(p, engine, body, owned));
    return was_stopped(s->before, owned) && shared_stopped_waits(s) != 0 &&
           (p->replace == REPLACE_NEVER || !is_outdated(p, engine, body, owned));
}

/* One of an earlier life, or somebody else's. */
static int take_over(const struct session *s, struct engine *engine, struct json_object *body,
                     struct earlier *earlier, struct error **err)
{
    const struct owner owner = {s->machine, s->request.account.uid, s->key};
    struct owned owned;
    bool found;

    if (owner_ask_noticed(engine, &owner, s->target.socket != NULL, &owned, err) < 0) {
        if (error_kind(*err) != ERROR_NOT_FOUND)
            return -1;
        error_clear(err);
        return 0;
    }
    if (!owned.ours)
        return error_set(err, 0,
                         "a container named %s is there that berth didn't make for this user: "
                         "the administrator must rename or remove it",
                         s->container);
    earlier->running = owned.state.running;
    earlier->exists = is_to_be_started(s, engine, body, &owned);
    return earlier->exists ? 0 : container_delete(engine, owned.state.id, &found, err);
}

/* A guest must report anew, a keeper needn't. */
static int start(const struct session *s, struct engine *engine, const struct earlier *earlier,
                 struct error **err)
{
    if (earlier->exists && earlier->running && s->direct)
        return container_restart(engine, s->container, err);
    return container_start(engine, s->container, err);
}

static int create_one(struct session *s, struct engine *engine, struct json_object *body,
                      struct earlier *earlier, struct error **err)
{
    int progress = s->request.tty ? 2 : -1;
    const long long end = now_ms() + REMOVAL_MS;
    long wait = REMOVAL_LOOK_MS;
    int rc = place_create(engine, s->policy, s->container, body, &s->watcher, progress, err);

    /* A removal that somebody else has begun has the name until it is done. */
    while (rc < 0 && s->policy->scope != SCOPE_SESSION && error_kind(*err) == ERROR_CONFLICT &&
           now_ms() < end) {
        error_clear(err);
        rc = take_over(s, engine, body, earlier, err);
        if (rc < 0 || earlier->exists)
            break;
        rc = place_create(engine, s->policy, s->container, body, &s->watcher, progress, err);
        if (rc < 0 && error_kind(*err) == ERROR_CONFLICT)
            pause_ms(wait);
        wait = wait * 2 < REMOVAL_LOOK_LAST_MS ? wait * 2 : REMOVAL_LOOK_LAST_MS;
    }
    return rc < 0 ? error_wrap(err, "cannot create a container") : 0;
}

static void copy(struct json_object *to, struct json_object *from, const char *key)
{
    struct json_object *value = NULL;

    if (json_object_object_get_ex(from, key, &value))
        json_object_object_add(to, key, json_object_get(value));
}

/* A container of the session's own name, that its watcher removes it, which never runs. */
static struct json_object *bare_body(struct json_object *body)
{
    struct json_object *bare = json_object_new_object(), *argv = json_object_new_array();

    copy(bare, body, "Image");
    copy(bare, body, "Labels");
    json_object_array_add(argv, json_object_new_string("/"));
    json_object_object_add(bare, "Entrypoint", argv);
    json_object_object_add(bare, "NetworkDisabled", json_object_new_boolean(true));
    return bare;
}

/* A full disk, or an image whose files can't be had, is no reason to refuse a login; one
 * without an engine is over anyway. */
static int do_without_names(struct names *names, const struct session *s, struct error **err)
{
    if (error_kind(*err) == ERROR_LOST || error_kind(*err) == ERROR_ABANDONED)
        return -1;
    syslog(LOG_NOTICE, "session=%s %s", s->request.session, error_text(*err));
    error_clear(err);
    names->way = NAMES_NONE;
    return 0;
}

static int learn(struct session *s, struct engine *engine, struct json_object *body,
                 struct names *names, struct earlier *earlier, struct error **err)
{
    struct json_object *bare = bare_body(body);
    bool found;
    int rc = create_one(s, engine, bare, earlier, err);

    json_object_put(bare);
    if (rc < 0)
        return -1;
    /* What is to be started again was made with them, and only needs them to be there. */
    if (earlier->exists)
        return names_learn(names, s, NULL, err);
    if (names_learn(names, s, engine, err) < 0 && do_without_names(names, s, err) < 0)
        return -1;
    return container_delete(engine, s->container, &found, err);
}

int creation_place(struct session *s, struct engine *engine, struct json_object *body,
                   struct names *names, struct earlier *earlier, struct error **err)
{
    if (names->way == NAMES_MOUNT && !names->known &&
        learn(s, engine, body, names, earlier, err) < 0)
        return -1;
    if (names->way == NAMES_MOUNT && names_mount(names, s, engine, body, err) < 0)
        return -1;
    if (!earlier->exists && create_one(s, engine, body, earlier, err) < 0)
        return -1;
    if (names->way == NAMES_PUT && !earlier->exists && names_put(s, engine, body, err) < 0)
        return do_without_names(names, s, err);
    return 0;
}

static int run_one(struct session *s, struct engine *engine, struct json_object *body,
                   struct names *names, struct earlier *earlier, struct container_state *state,
                   struct error **err)
{
    if (creation_place(s, engine, body, names, earlier, err) < 0)
        return -1;
    if (start(s, engine, earlier, err) < 0)
        return error_wrap(err, "cannot start a container");
    return container_ask(engine, s->container, state, NULL, NULL, err);
}

/* Nothing starts it any more, or it ends at once, and nobody was promised its files. */
static bool is_of_no_use(const struct session *s, const struct earlier *earlier,
                         const struct container_state *state, const struct error *err)
{
    if (!earlier->exists || policy_keeps(s->policy))
        return false;
    return err ? error_kind(err) != ERROR_LOST && error_kind(err) != ERROR_ABANDONED
               : state->pid == 0;
}

static int make(struct session *s, struct engine *engine, struct json_object *body,
                struct names *names, struct container_state *state, struct error **err)
{
    struct earlier earlier = {0};
    const bool known = names->known;
    bool found;
    int rc = run_one(s, engine, body, names, &earlier, state, err);

    if (is_of_no_use(s, &earlier, state, *err)) {
        error_clear(err);
        if (container_delete(engine, s->container, &found, err) < 0)
            return -1;
        earlier = (struct earlier){0};
        names->known = known; /* for that one they had only to be there */
        rc = run_one(s, engine, body, names, &earlier, state, err);
    }
    if (earlier.exists)
        names->image[0] = '\0';
    return rc;
}

/* Somebody gave its image's name to another one since they were learnt. */
static bool names_are_others(const struct names *names, const struct container_state *state)
{
    return names->way == NAMES_MOUNT && names->image[0] && state->image[0] &&
           strcmp(names->image, state->image) != 0;
}

static int make_named(struct session *s, struct engine *engine, struct json_object *body,
                      struct container_state *state, struct error **err)
{
    struct names names;
    bool found;

    names_recall(&names, s);
    if (make(s, engine, body, &names, state, err) < 0)
        return -1;
    if (!names_are_others(&names, state))
        return 0;
    names.known = false;
    if (container_delete(engine, state->id, &found, err) < 0)
        return -1;
    return make(s, engine, body, &names, state, err);
}

int creation_make(struct session *s, struct engine *engine, struct json_object *body,
                  struct record *made, struct error **err)
{
    struct container_state state = {0};

    if (make_named(s, engine, body, &state, err) < 0)
        return -1;
    if (state.pid == 0 && s->direct)
        return error_set(err, 0, "cannot start a container: its guest ended at once");
    if (state.pid == 0)
        return error_set(err, 0,
                         "cannot start a container: its first process ended at once: scope = %s "
                         "needs a sleep(1) in the image on the attach channel",
                         s->policy->scope == SCOPE_USER ? "user" : "connection");
    made->checked = time(NULL);
    made->pid = state.pid;
    memcpy(made->id, state.id, sizeof made->id);
    memcpy(made->image, state.image, sizeof made->image);
    snprintf(made->image_name, sizeof made->image_name, "%s", s->policy->image);
    snprintf(made->policy, sizeof made->policy, "%s", policy_of(body));
    return 0;
}

/* What the process that asks the engine is given (errand.h). */
struct creation {
    struct session *session;
    struct json_object *body;
};

static int create(void *data, void *reply, struct error **err)
{
    struct creation *c = data;
    struct engine *engine = creation_reach(c->session, err);

    return engine ? creation_make(c->session, engine, c->body, reply, err) : -1;
}

int creation_run(struct session *s, struct json_object *body, int folder,
                 const struct message_listen *terms, struct record *made, struct error **err)
{
    struct creation c = {.session = s, .body = body};
    struct door door;

    if (!terms)
        return errand_run(&s->client, create, &c, made, sizeof *made, err);
    int rc = door_open(&door, folder, err);
    if (rc == 0)
        rc = errand_run(&s->client, create, &c, made, sizeof *made, err);
    if (rc == 0 && door_welcome(&door, made->pid, terms, &s->client, err) < 0)
        rc = error_wrap(err, "container %s", s->container);
    door_close(&door);
    return rc;
}

struct thawing {
    struct session *session;
    const char *id;
};

static int thaw(void *data, void *reply, struct error **err)
{
    const struct thawing *t = data;
    struct container_state state;
    struct engine *engine = creation_reach(t->session, err);

    (void)reply;
    if (!engine || container_ask(engine, t->id, &state, NULL, NULL, err) < 0)
        return -1;
    return state.paused ? container_unpause(engine, t->id, err) : 0;
}

int creation_thaw(struct session *s, const char *id, struct error **err)
{
    struct thawing thawing = {s, id};

    return errand_run(&s->client, thaw, &thawing, NULL, 0, err);
}
