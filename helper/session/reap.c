#include "config.h"

#include "session/reap.h"

#include "base/file.h"
#include "engine/container.h"
#include "engine/listing.h"
#include "policy/connection.h"
#include "policy/network.h"
#include "policy/policy.h"
#include "policy/xauth.h"
#include "session/audit.h"
#include "session/guise.h"
#include "session/identity.h"
#include "session/lease.h"
#include "session/limits.h"
#include "session/owner.h"
#include "session/place.h"
#include "session/record.h"
#include "session/sweep.h"

#include <errno.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum {
    /* A user may fill his own directory; the others' turn comes all the same. */
    USER_MS = 30000,
    /* s; a login in the act. */
    YOUNG = 60,
    /* Who ends the last session of a container holds its lock for a while. */
    HOLD_MS = 10000,
};

static const char dead[] = "nobody holds its lock";
static const char orphaned[] = "its lock is gone";
static const char discarded[] = "removed by the administrator";

struct reap {
    const char *config;
    const char *runtime_dir;
    char machine[MACHINE_SIZE];
    struct nss *nss;
    bool look;
    const char *user;
    enum audit_format format;
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

/* Zeroed where there is no such account. */
static const struct account *find_account(const struct reap *r, uid_t uid, struct person *person)
{
    const struct nss_query query = {.uid = uid};

    (void)nss_try(r->nss, &query, person, r->report->failed, r->report->data);
    return &person->account;
}

/* The account's group; without an account one that is nobody's but perhaps his. */
static gid_t group_of(const struct account *account, uid_t uid)
{
    return account->name ? account->gid : (gid_t)uid;
}

static void log_removed(const struct reap *r, const struct reaped *reaped)
{
    audit_reap(r->format, &(struct audit_reap){.container = reaped->container,
                                               .user = reaped->user ? reaped->user : "",
                                               .reason = reaped->why,
                                               .uid = reaped->uid});
}

static void tell(struct reap *r, const struct owner *owner, const char *why,
                 const struct error *err)
{
    cleanup_person struct person person = {0};
    char name[CONTAINER_NAME_SIZE];
    struct reaped reaped = {.container = name,
                            .uid = owner->uid,
                            .user = find_account(r, owner->uid, &person)->name,
                            .why = why,
                            .failure = err ? error_text(err) : NULL};

    identity_name(name, owner->machine, owner->uid, owner->key);
    if (!err && !r->look)
        log_removed(r, &reaped);
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

/* Its lock alone, the file made where it isn't there, as its user, whose it must be: a
 * login that comes now waits. For so long at most; 0: somebody has it. */
static int hold(const struct reap *r, const struct owner *owner, int ms, struct lease *lease,
                struct error **err)
{
    const struct timespec pause = {.tv_nsec = 50 * 1000 * 1000};
    const long long end = now_ms() + ms;
    cleanup_person struct person person = {0};
    struct guise before;
    const gid_t gid = group_of(find_account(r, owner->uid, &person), owner->uid);
    int got = guise_take(&before, owner->uid, gid, err);

    if (got == 0)
        got = lease_open(lease, r->runtime_dir, owner->uid, owner->key, err);
    while (got == 0 && (got = lease_try(lease, true, err)) == 0 && now_ms() < end)
        nanosleep(&pause, NULL);
    guise_drop(&before);
    return got;
}

/* A login that comes now finds none. False: one has come before. */
static bool claim(const struct reap *r, const struct owner *owner, struct lease *lease)
{
    cleanup_error struct error *err = NULL;
    struct record record;

    lease_close(lease);
    int got = hold(r, owner, 0, lease, &err);
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

/* Whatever the engine made of the filters. */
static bool is_ours(const struct round *round, const struct listed *container, struct owner *owner)
{
    const struct reap *r = round->reap;

    return label_is(container, LABEL_MACHINE, r->machine) &&
           label_is(container, LABEL_RUNTIME, r->runtime_dir) &&
           owner_read(owner, r->machine, container->name, listed_label(container, LABEL_UID),
                      listed_label(container, LABEL_SESSION)) &&
           !(round->own && owner->uid != round->uid);
}

static void visit_listed(void *data, const struct listed *container)
{
    const struct round *round = data;
    struct reap *r = round->reap;
    struct owner owner;

    r->away = r->away || (round->own && !has_time(data));
    if (r->away || !is_ours(round, container, &owner))
        return;
    /* A kept one that never ran has nobody's files in it, and a dead one's nobody gets at. */
    if ((label_is(container, LABEL_KEEP, "1") && container->started && !container->dead) ||
        time(NULL) - container->created < YOUNG)
        return;
    remove_orphan(round, &owner, container->id);
}

static int list(struct round *round, listing_visit *visit, struct error **err)
{
    const struct reap *r = round->reap;
    cleanup_strings struct strings labels = {0};

    if (strings_take(&labels, text_format("%s=%s", LABEL_MACHINE, r->machine)) < 0 ||
        strings_take(&labels, text_format("%s=%s", LABEL_RUNTIME, r->runtime_dir)) < 0)
        return error_set(err, ENOMEM, "list of containers");
    return listing_run(round->engine, &labels, visit, round, err);
}

static void reap_orphans(struct round *round)
{
    cleanup_error struct error *err = NULL;

    if (list(round, visit_listed, &err) < 0) {
        error_wrap(&err, "containers without a lock");
        fail(round->reap, err);
    }
}

/* The user's own engine; an account that is gone still has its uid. */
static struct policy *load_own(const struct reap *r, uid_t uid, gid_t *group, struct error **err)
{
    static char none[] = "";
    cleanup_person struct person person = {0};
    const struct account *found = find_account(r, uid, &person);
    const struct account account = {.name = found->name ? found->name : none,
                                    .home = found->name ? found->home : none,
                                    .uid = uid,
                                    .gid = found->name ? found->gid : (gid_t)-1};
    bool each;
    *group = group_of(found, uid);
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
    gid_t gid;
    cleanup_error struct error *err = NULL;
    cleanup_policy struct policy *policy = load_own(round->reap, round->uid, &gid, &err);

    if (!policy) {
        fail(round->reap, err);
        return;
    }
    if (guise_for_engine(&before, round->reap->config, policy, round->uid, gid, &err) < 0) {
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
    if (!r->look)
        xauth_sweep(lease.dir, r->runtime_dir);
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
    gid_t gid;
    cleanup_policy struct policy *policy = load_own(r, uid, &gid, err);
    struct lease lease;
    struct guise before;

    if (!policy)
        return -1;
    r->runtime_dir = policy->runtime_dir;
    r->format = policy->audit_format;
    if (lease_find(&lease, r->runtime_dir, uid, "", err) < 0) {
        if (error_kind(*err) != ERROR_NOT_FOUND)
            return -1;
        error_clear(err);
        return 0;
    }
    const struct http_target target = target_of(&policy->engine);
    if (!r->look) {
        network_sweep(r->runtime_dir);
        xauth_sweep(lease.dir, r->runtime_dir);
    }
    int rc = guise_for_engine(&before, r->config, policy, uid, gid, err);
    if (rc == 0)
        engine_free(sweep_user(&round, &target, &lease));
    guise_drop(&before);
    lease_close(&lease);
    return rc;
}

static void visit_own(void *data, const struct listed *container)
{
    const struct round *round = data;
    struct reap *r = round->reap;
    struct lease lease = {.dir = -1, .lock = -1};
    cleanup_error struct error *err = NULL;
    struct owner owner;
    bool found = true;

    if (r->away || !is_ours(round, container, &owner) || !lease_is_shared(owner.key) ||
        lease_is_connections(owner.key) || (r->user && !label_is(container, LABEL_USER, r->user)))
        return;
    int got = hold(r, &owner, HOLD_MS, &lease, &err);
    if (got > 0)
        (void)container_delete(round->engine, container->id, &found, &err);
    else if (got == 0)
        error_set(&err, 0, "somebody is in it");
    if (err || found)
        tell(r, &owner, discarded, err);
    /* Else the file may be another one's by now. */
    if (!err && found)
        lease_end(&lease);
    lease_close(&lease);
}

static int discard_all(struct reap *r, uid_t uid, struct error **err)
{
    struct round round = {.reap = r, .uid = uid, .own = true};
    gid_t gid;
    cleanup_policy struct policy *policy = load_own(r, uid, &gid, err);
    struct guise before;

    if (!policy)
        return -1;
    r->runtime_dir = policy->runtime_dir;
    r->format = policy->audit_format;
    const struct http_target target = target_of(&policy->engine);
    int rc = guise_for_engine(&before, r->config, policy, uid, gid, err);
    if (rc == 0) {
        round.engine = engine_new(&target, err);
        rc = !round.engine                          ? -1
             : engine_settle(round.engine, err) < 0 ? place_unreached(policy, err)
                                                    : list(&round, visit_own, err);
        engine_free(round.engine);
    }
    guise_drop(&before);
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
    r->format = policy->audit_format;
    if (!r->look) {
        connection_sweep(r->runtime_dir);
        network_sweep(r->runtime_dir);
    }
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
    struct reap r = {.config = task->config,
                     .nss = task->nss,
                     .look = task->look,
                     .user = task->user,
                     .report = report};

    identity_machine(r.machine);
    if (task->discard)
        return discard_all(&r, task->uid, err);
    return task->one ? reap_one(&r, task->uid, err) : reap_all(&r, err);
}
