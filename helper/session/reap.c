#include "config.h"

#include "session/reap.h"

#include "base/file.h"
#include "engine/container.h"
#include "engine/listing.h"
#include "policy/connection.h"
#include "policy/policy.h"
#include "session/guise.h"
#include "session/identity.h"
#include "session/lease.h"
#include "session/limits.h"
#include "session/owner.h"
#include "session/place.h"
#include "session/record.h"
#include "session/sweep.h"

#include <errno.h>
#include <pwd.h>
#include <string.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

enum {
    /* A user may fill his own directory; the others' turn comes all the same. */
    USER_MS = 30000,
    /* s; a login in the act. */
    YOUNG = 60,
};

static const char dead[] = "nobody holds its lock";
static const char orphaned[] = "its lock is gone";

struct reap {
    const char *config;
    const char *runtime_dir;
    char machine[MACHINE_SIZE];
    bool look;
    const struct reap_report *report;
    struct engine *engine; /* all users'; NULL: each has one of his own */
    bool away;             /* the one at hand was lost on the way */
};

/* One user, or the list of one engine. */
struct round {
    struct reap *reap;
    struct engine *engine;
    uid_t uid;
    bool own; /* the engine is the user's: it has a say about him alone */
    long long end;
};

static struct http_target target_of(const struct engine_config *engine)
{
    return (struct http_target){.socket = engine->socket,
                                .host = engine->host,
                                .tls_ca = engine->tls_ca,
                                .tls_cert = engine->tls_cert,
                                .tls_key = engine->tls_key};
}

static void log_removed(const struct reaped *reaped)
{
    cleanup_text struct text user = {0};

    if (reaped->user)
        text_escape(&user, reaped->user, 200);
    syslog(LOG_NOTICE, "reap container=%s user=\"%s\" uid=%u reason=\"%s\"", reaped->container,
           text_str(&user), (unsigned)reaped->uid, reaped->why);
}

static void tell(struct reap *r, const struct owner *owner, const char *why,
                 const struct error *err)
{
    const struct passwd *account = getpwuid(owner->uid);
    char name[CONTAINER_NAME_SIZE];
    struct reaped reaped = {.container = name,
                            .uid = owner->uid,
                            .user = account ? account->pw_name : NULL,
                            .why = why,
                            .failure = err ? error_text(err) : NULL};

    identity_name(name, owner->machine, owner->uid, owner->key);
    if (!err && !r->look)
        log_removed(&reaped);
    r->report->container(r->report->data, &reaped);
    r->away = r->away || (err && error_kind(err) == ERROR_LOST);
}

static void fail(const struct reap *r, const struct error *err)
{
    r->report->failed(r->report->data, error_text(err));
}

static void tell_swept(void *data, const struct owner *owner, const struct error *err)
{
    struct round *round = data;

    tell(round->reap, owner, dead, err);
}

static bool has_time(void *data)
{
    const struct round *round = data;
    cleanup_error struct error *err = NULL;

    if (now_ms() < round->end)
        return true;
    error_set(&err, 0, "%s/%u: what takes longer than %d s is left to the next run",
              round->reap->runtime_dir, (unsigned)round->uid, USER_MS / 1000);
    fail(round->reap, err);
    return false;
}

/* With its lock's file made by us and held, as its user, whose it must be: a login
 * that comes now waits, and then finds none. False: one has come before. */
static bool claim(const struct reap *r, const struct owner *owner, struct lease *lease)
{
    cleanup_error struct error *err = NULL;
    struct record record;

    struct guise before;

    lease_close(lease);
    int got = guise_take(&before, owner->uid, &err);
    if (got == 0)
        got = lease_open(lease, r->runtime_dir, owner->uid, owner->key, &err);
    if (got == 0)
        got = lease_try(lease, true, &err);
    guise_drop(&before);
    if (got < 0)
        fail(r, err);
    return got > 0 && !record_read(&record, lease->lock);
}

/* Whether a lock file, or whatever has its name, says that the container is not
 * for us. Else the user's directory, where it is there, is open in `lease`. */
static bool is_locked(const struct reap *r, const struct owner *owner, struct lease *lease)
{
    cleanup_error struct error *err = NULL;

    if (lease_find(lease, r->runtime_dir, owner->uid, owner->key, &err) == 0)
        return lease_is_there(lease);
    if (error_kind(err) == ERROR_NOT_FOUND)
        return false;
    fail(r, err);
    return true;
}

/* One that has not run when the list was made may have since: then it is kept. */
static int remove_listed(const struct round *round, const struct owner *owner, const char *id,
                         bool *found, struct error **err)
{
    struct owned owned;

    if (owner_ask(round->engine, owner, &owned, err) < 0) {
        *found = false;
        if (error_kind(*err) != ERROR_NOT_FOUND)
            return -1;
        error_clear(err);
        return 0;
    }
    *found = owned.ours && !owned.keep && strcmp(owned.state.id, id) == 0;
    return *found ? container_delete(round->engine, id, found, err) : 0;
}

static void remove_orphan(const struct round *round, const struct owner *owner, const char *id)
{
    struct reap *r = round->reap;
    struct lease lease = {.dir = -1, .lock = -1};
    cleanup_error struct error *err = NULL;
    bool found = true;

    if (!is_locked(r, owner, &lease) &&
        (r->look || !lease_is_shared(owner->key) || claim(r, owner, &lease))) {
        int rc = r->look ? 0 : remove_listed(round, owner, id, &found, &err);
        if (rc < 0 || found)
            tell(r, owner, orphaned, err);
        if (!r->look)
            lease_end(&lease);
    }
    lease_close(&lease);
}

static bool label_is(const struct listed *container, const char *key, const char *value)
{
    const char *label = listed_label(container, key);

    return label && strcmp(label, value) == 0;
}

static void visit_listed(void *data, const struct listed *container)
{
    const struct round *round = data;
    struct reap *r = round->reap;
    struct owner owner;

    r->away = r->away || (round->own && !has_time(data));
    /* Whatever the engine made of the filters. */
    if (r->away || !label_is(container, LABEL_MACHINE, r->machine) ||
        !label_is(container, LABEL_RUNTIME, r->runtime_dir) ||
        !owner_read(&owner, r->machine, container->name, listed_label(container, LABEL_UID),
                    listed_label(container, LABEL_SESSION)))
        return;
    /* A kept one that never ran has nobody's files in it. */
    if ((round->own && owner.uid != round->uid) ||
        (label_is(container, LABEL_KEEP, "1") && container->started) ||
        time(NULL) - container->created < YOUNG)
        return;
    remove_orphan(round, &owner, container->id);
}

static void reap_orphans(struct round *round)
{
    const struct reap *r = round->reap;
    cleanup_strings struct strings labels = {0};
    cleanup_error struct error *err = NULL;

    if (strings_take(&labels, text_format("%s=%s", LABEL_MACHINE, r->machine)) < 0 ||
        strings_take(&labels, text_format("%s=%s", LABEL_RUNTIME, r->runtime_dir)) < 0)
        error_set(&err, ENOMEM, "list of containers");
    else if (listing_run(round->engine, &labels, visit_listed, round, &err) < 0)
        error_wrap(&err, "containers without a lock");
    if (err)
        fail(r, err);
}

/* The user's own engine; an account that is gone still has its uid. */
static struct policy *load_own(const struct reap *r, uid_t uid, struct error **err)
{
    static char none[] = "";
    const struct passwd *pw = getpwuid(uid);
    const struct account account = {.name = pw ? pw->pw_name : none,
                                    .home = pw ? pw->pw_dir : none,
                                    .uid = uid,
                                    .gid = pw ? pw->pw_gid : (gid_t)-1};
    bool each;
    struct policy *policy = policy_load_engine(r->config, &account, &each, err);

    if (!policy)
        error_wrap(err, "uid %u: its engine's containers are left", (unsigned)uid);
    return policy;
}

/* One that isn't there runs no container: a rootless engine ends with its user's
 * last login. */
static bool is_there(const struct policy *policy)
{
    return !policy->engine.socket || access(policy->engine.socket, F_OK) == 0;
}

/* By the engine at hand, else by one made for `target`; returns it, or NULL where
 * there was nothing to ask. */
static struct engine *sweep_user(struct round *round, const struct http_target *target,
                                 const struct lease *lease)
{
    struct sweep sweep = {.target = target,
                          .machine = round->reap->machine,
                          .uid = round->uid,
                          .engine = round->engine,
                          .look = round->reap->look,
                          .go_on = has_time,
                          .tell = tell_swept,
                          .data = round};

    sweep_run(&sweep, lease);
    return sweep.engine;
}

static void reap_own(struct round *round, const struct lease *lease)
{
    struct guise before;
    cleanup_error struct error *err = NULL;
    cleanup_policy struct policy *policy = load_own(round->reap, round->uid, &err);

    if (!policy) {
        fail(round->reap, err);
        return;
    }
    if (guise_for_engine(&before, round->reap->config, policy, round->uid, &err) < 0) {
        guise_drop(&before);
        fail(round->reap, err);
        return;
    }
    const struct http_target target = target_of(&policy->engine);
    round->engine = sweep_user(round, &target, lease);
    if (is_there(policy) && !round->reap->away) {
        if (!round->engine)
            round->engine = engine_new(&target, &err);
        if (round->engine && engine_settle(round->engine, &err) == 0) {
            reap_orphans(round);
        } else {
            place_unreached(policy, &err);
            fail(round->reap, err);
        }
    }
    engine_free(round->engine);
    guise_drop(&before);
}

static void reap_user(void *data, uid_t uid)
{
    struct reap *r = data;
    struct round round = {
        .reap = r, .engine = r->engine, .uid = uid, .own = !r->engine, .end = now_ms() + USER_MS};
    cleanup_error struct error *err = NULL;
    struct lease lease;

    if (r->engine && r->away)
        return;
    r->away = false;
    if (lease_find(&lease, r->runtime_dir, uid, "", &err) < 0) {
        if (error_kind(err) != ERROR_NOT_FOUND)
            fail(r, err);
        return;
    }
    if (r->engine)
        (void)sweep_user(&round, NULL, &lease);
    else
        reap_own(&round, &lease);
    lease_close(&lease);
}

/* The one engine of all; away at the start, there is nothing to do. */
static int reach(struct reap *r, const struct http_target *target, const struct policy *policy,
                 struct error **err)
{
    r->engine = engine_new(target, err);
    if (!r->engine)
        return -1;
    return engine_negotiate(r->engine, err) < 0 ? place_unreached(policy, err) : 0;
}

/* After a boot without systemd-tmpfiles nobody else would. */
static void prepare(const struct reap *r)
{
    cleanup_error struct error *err = NULL;

    if (limits_prepare(r->runtime_dir, &err) < 0)
        fail(r, err);
}

/* One user's, by his own engine, which is asked where there is something to ask alone. */
static int reap_one(struct reap *r, uid_t uid, struct error **err)
{
    struct round round = {.reap = r, .uid = uid, .own = true, .end = now_ms() + USER_MS};
    cleanup_policy struct policy *policy = load_own(r, uid, err);
    struct lease lease;
    struct guise before;

    if (!policy)
        return -1;
    r->runtime_dir = policy->runtime_dir;
    if (lease_find(&lease, r->runtime_dir, uid, "", err) < 0) {
        if (error_kind(*err) != ERROR_NOT_FOUND)
            return -1;
        error_clear(err);
        return 0;
    }
    const struct http_target target = target_of(&policy->engine);
    int rc = guise_for_engine(&before, r->config, policy, uid, err);
    if (rc == 0)
        engine_free(sweep_user(&round, &target, &lease));
    guise_drop(&before);
    lease_close(&lease);
    return rc;
}

static int reap_all(struct reap *r, struct error **err)
{
    static char name[] = "root", home[] = "/root";
    const struct account root = {.name = name, .home = home};
    bool each;
    cleanup_policy struct policy *policy = policy_load_engine(r->config, &root, &each, err);

    if (!policy)
        return -1;
    r->runtime_dir = policy->runtime_dir;
    if (!r->look)
        connection_sweep(r->runtime_dir);
    const struct http_target target = target_of(&policy->engine);
    int rc = each ? 0 : reach(r, &target, policy, err);
    if (rc == 0)
        rc = lease_each_user(r->runtime_dir, reap_user, r, err);
    if (rc == 0 && !r->look)
        prepare(r);
    if (rc == 0 && r->engine && !r->away) {
        struct round round = {.reap = r, .engine = r->engine};
        reap_orphans(&round);
    }
    engine_free(r->engine);
    return rc;
}

int reap_run(const struct reap_task *task, const struct reap_report *report, struct error **err)
{
    struct reap r = {.config = task->config, .look = task->look, .report = report};

    identity_machine(r.machine);
    return task->one ? reap_one(&r, task->uid, err) : reap_all(&r, err);
}
