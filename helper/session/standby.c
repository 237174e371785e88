#include "config.h"

#include "session/standby.h"

#include "base/file.h"
#include "channel/guest.h"
#include "session/background.h"
#include "session/creation.h"
#include "session/forwarding.h"
#include "session/launch.h"
#include "session/record.h"

#include <errno.h>
#include <fcntl.h>
#include <json-c/json.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <syslog.h>
#include <unistd.h>

/* A short command has ended by then: it has the processors to itself, before the engine makes
 * the next one's container. */
enum { REFILL_AFTER_MS = 100 };

struct search {
    const char *policy; /* the hash wanted */
    struct lease *found;
    struct record record;
};

static bool is_waiting(const struct lease *lease, const char *policy, struct record *record)
{
    long long age;

    return lease_noted(lease, &age) == WATCHER_STANDBY && record_read(record, lease->lock) &&
           strcmp(record->policy, policy) == 0 && record_lives(record);
}

/* Its lock is ours while this looks at it; a copy keeps it so. */
static bool claim_one(void *data, const struct lease *lease)
{
    struct search *search = data;

    if (!is_waiting(lease, search->policy, &search->record))
        return true;
    search->found->lock = fcntl(lease->lock, F_DUPFD_CLOEXEC, 3);
    memcpy(search->found->session, lease->session, sizeof lease->session);
    return search->found->lock < 0;
}

/* The claimed one is the session's as if it had been made for it. */
static int take(struct session *s, const struct record *record, struct direct *direct,
                const struct text *payload, struct error **err)
{
    session_place(s, s->lease.session);
    if (session_watch(s, err) < 0)
        return -1;
    watcher_tell(&s->watcher, WATCHER_CREATED);
    cleanup_fd int folder = lease_open_folder(&s->lease);
    if (folder < 0)
        return error_set_kind(err, ERROR_LOST, "its folder is gone");
    forwarding_start(s);
    return direct_start(direct, folder, record->pid, payload, GUEST_ANSWER_MS, &s->client, err);
}

/* Its time was over in this moment, or it is paused: the watcher removes it. */
static void give_back(struct session *s, struct direct *direct, struct error **err)
{
    forwarding_stop(s);
    direct_close(direct);
    watcher_leave(&s->watcher);
    lease_close(&s->lease);
    error_clear(err);
}

int standby_start(struct session *s, struct direct *direct, const struct text *payload,
                  struct error **err)
{
    char policy[SPEC_HASH_SIZE];
    struct search search = {.policy = policy, .found = &s->lease};

    if (creation_policy(s, policy, err) < 0 ||
        lease_open(&s->lease, s->policy->runtime_dir, s->request.account.uid, s->request.session,
                   err) < 0)
        return -1;
    for (;;) {
        lease_each_stale(&s->lease, claim_one, &search);
        if (s->lease.lock < 0)
            break;
        if (take(s, &search.record, direct, payload, err) == 0)
            return 1;
        if (error_kind(*err) != ERROR_LOST && error_kind(*err) != ERROR_SLOW)
            return -1;
        give_back(s, direct, err);
        if (lease_open(&s->lease, s->policy->runtime_dir, s->request.account.uid,
                       s->request.session, err) < 0)
            return -1;
    }
    lease_close(&s->lease);
    session_place(s, s->request.session);
    return 0;
}

/* A shell that has run before starts sooner: 12 ms on fuse-overlayfs. An image
 * without one may still have what its sessions run. */
static void warm_up(struct session *s, int folder, pid_t pid)
{
    cleanup_text struct text payload = {0};
    struct direct direct;
    struct relay_result result;
    cleanup_error struct error *err = NULL;

    direct_init(&direct, false);
    if (launch_warm_up(&payload, s->policy, &err) == 0 &&
        direct_start(&direct, folder, pid, &payload, GUEST_ANSWER_MS, &s->client, &err) == 0)
        (void)direct_run(&direct, &s->client, &result, &err);
    direct_close(&direct);
}

/* Made, its guest listens, and written down: from then on it waits. */
static int make_one(struct session *s, struct error **err)
{
    struct message_listen terms = {.linger = (uint32_t)s->policy->standby_time, .once = true};
    struct record made = {0};
    char policy[SPEC_HASH_SIZE];
    cleanup_fd int folder = forwarding_make_folder(s, err);
    struct json_object *body = folder >= 0 && creation_policy(s, policy, err) == 0
                                   ? creation_body(s, policy, err)
                                   : NULL;

    int rc = body ? creation_run(s, body, folder, &terms, &made, err) : -1;
    json_object_put(body);
    if (rc < 0)
        return -1;
    made.linger = LINGER_GUEST;
    warm_up(s, folder, made.pid);
    if (record_write(&made, s->lease.lock, err) < 0)
        return -1;
    lease_note(&s->lease, WATCHER_STANDBY);
    return 0;
}

/* False where it failed: the next login tries again. */
static bool add_one(const struct session *s)
{
    struct session own = *s;
    char key[LEASE_SESSION_SIZE];
    cleanup_error struct error *err = NULL;

    /* What the session has open was closed here (background.h). */
    client_none(&own.client);
    own.client_open = false;
    own.lease = (struct lease){.dir = -1, .lock = -1};
    own.watcher = (struct watcher){.pipe = -1};
    if (identity_session(key, &err) == 0) {
        session_place(&own, key);
        if (session_guard(&own, &err) == 0)
            (void)make_one(&own, &err);
    }
    if (err)
        syslog(LOG_WARNING, "session=%s cannot make a standby container: %s", s->request.session,
               error_text(err));
    else
        watcher_tell(&own.watcher, WATCHER_STANDBY); /* it is nobody's now: the watcher goes */
    watcher_leave(&own.watcher);
    lease_close(&own.lease);
    return !err;
}

struct count {
    const char *policy;
    long long waiting;
    bool twin; /* what is of another policy may wait for a namesake */
};

static bool count_one(void *data, const struct lease *lease)
{
    struct count *count = data;
    struct record record;
    long long age;

    if (is_waiting(lease, count->policy, &record)) {
        count->waiting++;
    } else if (!count->twin && lease_noted(lease, &age) == WATCHER_STANDBY) {
        /* Of another policy, or dead: the next sweep finds nobody's container. */
        record_clear(lease->lock);
        lease_note(lease, WATCHER_CREATED);
    }
    return true;
}

static void refill(const struct session *s)
{
    struct lease lease = {.dir = -1, .lock = -1};
    struct count count = {.twin = s->request.twin};
    char policy[SPEC_HASH_SIZE];
    cleanup_error struct error *err = NULL;

    /* One at a time for each user; who comes meanwhile leaves it to that one. */
    if (lease_open(&lease, s->policy->runtime_dir, s->request.account.uid, "", &err) < 0 ||
        flock(lease.dir, LOCK_EX | LOCK_NB) < 0)
        return;
    if (creation_policy(s, policy, &err) < 0)
        return;
    count.policy = policy;
    lease_each_stale(&lease, count_one, &count);
    while (count.waiting < s->policy->standby && add_one(s))
        count.waiting++;
    /* A watcher that has a container to remove yet has a copy. */
    flock(lease.dir, LOCK_UN);
    lease_close(&lease);
}

void standby_refill(const struct session *s)
{
    if (background_fork("berth-standby") == 0) {
        pause_ms(REFILL_AFTER_MS);
        refill(s);
        _exit(0);
    }
}
