#include "config.h"

#include "session/creation.h"

#include "base/file.h"
#include "channel/door.h"
#include "session/errand.h"
#include "session/owner.h"
#include "session/place.h"

#include <errno.h>
#include <json-c/json.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

struct json_object *creation_body(const struct session *s, char policy[SPEC_HASH_SIZE],
                                  struct error **err)
{
    /* The same for each container of the policy's. */
    struct spec_context context = {.process = s->direct ? SPEC_GUEST : SPEC_KEEPER,
                                   .machine = s->machine,
                                   .local = s->target.socket != NULL,
                                   .folder = s->direct ? GUEST_RUN : NULL,
                                   .key = ""};
    cleanup_string char *folder = text_format("%s/%u/%s", s->policy->runtime_dir,
                                              (unsigned)s->request.account.uid, s->key);
    struct json_object *body = spec_make(s->policy, &s->request, &context, err);

    if (!body)
        return NULL;
    spec_hash(policy, body);
    json_object_put(body);
    if (!folder) {
        error_set(err, ENOMEM, "path of the runtime directory");
        return NULL;
    }
    if (s->direct)
        context.folder = folder;
    context.key = s->key;
    body = spec_make(s->policy, &s->request, &context, err);
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

/* What is there of that name. */
struct earlier {
    bool exists; /* it is to be started again */
    bool running;
};

/* Not where the image is gone: what was made of it is all there is of it. */
static bool image_is_other(struct engine *engine, const char *name, const char *id)
{
    char now[IMAGE_ID_SIZE];
    cleanup_error struct error *err = NULL;

    return image_ask(engine, name, now, &err) == 0 && strcmp(now, id) != 0;
}

/* One of an earlier life, or somebody else's. */
static int take_over(const struct session *s, struct engine *engine, struct json_object *body,
                     struct earlier *earlier, struct error **err)
{
    const struct policy *p = s->policy;
    const struct owner owner = {s->machine, s->request.account.uid, s->key};
    struct owned owned;
    bool found;

    if (owner_ask(engine, &owner, &owned, err) < 0)
        return -1;
    if (!owned.ours)
        return error_set(err, 0,
                         "a container named %s is there that berth didn't make for this user: "
                         "the administrator must rename or remove it",
                         s->container);
    earlier->running = owned.state.running;
    earlier->exists = p->on_idle == ON_IDLE_STOP && p->scope == SCOPE_USER && owned.keep &&
                      (p->replace != REPLACE_IDLE ||
                       (strcmp(owned.policy, policy_of(body)) == 0 &&
                        !image_is_other(engine, p->image, owned.state.image)));
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

static int make(struct session *s, struct engine *engine, struct json_object *body,
                struct error **err)
{
    struct earlier earlier = {0};
    int progress = s->request.tty ? 2 : -1;

    int rc = place_create(engine, s->policy, s->container, body, &s->watcher, progress, err);
    if (rc < 0 && s->policy->scope != SCOPE_SESSION && error_kind(*err) == ERROR_CONFLICT) {
        error_clear(err);
        rc = take_over(s, engine, body, &earlier, err);
        if (rc == 0 && !earlier.exists)
            rc = place_create(engine, s->policy, s->container, body, &s->watcher, progress, err);
    }
    if (rc < 0)
        return error_wrap(err, "cannot create a container");
    return start(s, engine, &earlier, err) < 0 ? error_wrap(err, "cannot start a container") : 0;
}

int creation_make(struct session *s, struct engine *engine, struct json_object *body,
                  struct record *made, struct error **err)
{
    struct container_state state;

    if (make(s, engine, body, err) < 0 ||
        container_ask(engine, s->container, &state, NULL, NULL, err) < 0)
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
