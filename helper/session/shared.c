#include "config.h"

#include "session/shared.h"

#include "base/file.h"
#include "base/process.h"
#include "session/network.h"
#include <json-c/json.h>
#include <stdio.h>
#include <string.h>
#include <syslog.h>
#include <unistd.h>

enum {
    /* For somebody else's making of the container: pull aside, its calls' limits. */
    TURN_MS = 60000,
    LOOK_EVERY_MS = 10,
    /* For other sessions to leave a container in which none can be started. */
    DEAD_MS = 5000,
    MAKES_MAX = 3,
};

struct joining {
    struct session *session;
    const struct shared_way *way;
    char policy[SPEC_HASH_SIZE];
    char dead[CONTAINER_ID_SIZE]; /* the container in which nothing can be started */
    pid_t dead_pid;               /* its guest's: started again it keeps its id */
    long long dead_since;         /* now_ms() */
    int makes;                    /* how many times it was made or started again */
};

bool shared_guest_lingers(const struct session *s)
{
    return s->direct && !s->policy->forwarding;
}

long long shared_stopped_waits(const struct session *s)
{
    const struct policy *p = s->policy;

    if (p->scope == SCOPE_USER)
        return p->linger;
    /* What a connection forwards goes to the network that it had. */
    return p->forwarding ? 0 : -1;
}

struct watcher_task shared_watch(const struct session *s)
{
    const struct policy *p = s->policy;

    return (struct watcher_task){.target = &s->target,
                                 .lease = &s->lease,
                                 .machine = s->machine,
                                 .uid = s->request.account.uid,
                                 .shared = true,
                                 .stop = policy_keeps(p),
                                 .linger = shared_guest_lingers(s)  ? LINGER_GUEST
                                           : p->scope == SCOPE_USER ? p->linger
                                                                    : 0,
                                 .stopped = shared_stopped_waits(s),
                                 .connection = -1};
}

/* Whose end is the connection's, as far as can be seen from here. */
static pid_t connection_process(const struct session *s)
{
    return s->holds ? s->request.vouched.sshd : getppid();
}

/* Somebody removes what the lock file stands for, or an empty one, before there is
 * any: whoever is killed. */
static int watch(struct joining *j, const struct record *before, struct error **err)
{
    struct session *s = j->session;
    struct watcher_task task = shared_watch(s);
    cleanup_fd int connection = s->policy->scope == SCOPE_CONNECTION
                                    ? process_open(connection_process(s), "", NULL)
                                    : -1;

    task.connection = connection;
    task.before = before;
    return s->watcher.pipe < 0 ? watcher_start(&s->watcher, &task, err) : 0;
}

/* With the lock held alone: the container is made, and written down. */
static int make(struct joining *j, struct error **err)
{
    struct session *s = j->session;
    const struct watcher_task task = shared_watch(s);
    struct record record = {0}, before;

    if (network_joins(s, &record, err) < 0)
        return -1;
    if (j->makes++ == MAKES_MAX)
        return error_set(err, 0, "container %s ended %d times before a session could start in it",
                         s->container, MAKES_MAX);
    /* What may be started again; what is older than its time, or than the machine's last start,
     * has no such record. */
    const bool there = record_read(&before, s->lease.lock) || record_former(&before, s->lease.lock);
    const bool waits = s->policy->scope == SCOPE_CONNECTION || before.linger == LINGER_GUEST ||
                       record_lingers(&before, &s->lease);
    if (watch(j, there ? &before : NULL, err) < 0)
        return -1;
    j->dead[0] = '\0';
    s->before = there && waits ? &before : NULL;
    /* Whoever comes after us, if we break off, must know of it as we do. */
    if (s->before)
        record_retire(s->lease.lock);
    else
        record_clear(s->lease.lock);
    struct json_object *body = creation_body(s, j->policy, err);
    int rc = body ? j->way->make(j->way->data, body, &record, err) : -1;
    json_object_put(body);
    s->before = NULL;
    if (rc < 0)
        return -1;
    record.keep = task.stop;
    record.linger = task.linger;
    if (record_write(&record, s->lease.lock, err) < 0)
        return -1;
    watcher_tell(&s->watcher, WATCHER_KEPT);
    return 0;
}

/* With the lock held: 1 the session runs, 0 look again. */
static int join(struct joining *j, const struct record *record, struct error **err)
{
    if (network_joins(j->session, record, err) < 0)
        return -1;
    switch (j->way->join(j->way->data, record, err)) {
    case SHARED_RUNS:
        return 1;
    case SHARED_DEAD:
        memcpy(j->dead, record->id, sizeof j->dead);
        j->dead_pid = record->pid;
        j->dead_since = now_ms();
        return 0;
    case SHARED_AGAIN:
        return 0;
    case SHARED_FAILED:
    default:
        return -1;
    }
}

static bool wants_other(const struct joining *j, const struct record *record)
{
    const struct policy *p = j->session->policy;

    if (strcmp(record->policy, j->policy) == 0 || p->replace == REPLACE_NEVER)
        return false;
    return p->replace == REPLACE_IDLE || p->on_idle == ON_IDLE_REMOVE;
}

/* Not with the lock as it was held: that is let go in between. `old` is what is
 * joined though it isn't what the policy wants, NULL what was made just now. */
static int join_again(struct joining *j, const struct record *old, struct error **err)
{
    struct lease *lease = &j->session->lease;
    struct record now;
    int got = lease_try(lease, false, err);

    if (got <= 0 || !record_read(&now, lease->lock) || (old && strcmp(now.id, old->id) != 0))
        return got < 0 ? -1 : 0;
    if (old)
        syslog(LOG_NOTICE,
               "session=%s joins container %s of an older policy or image: it is in use",
               j->session->request.session, j->session->container);
    return join(j, &now, err);
}

static bool is_dead(const struct joining *j, const struct record *record)
{
    return strcmp(record->id, j->dead) == 0 && record->pid == j->dead_pid;
}

/* One look at the lock and what stands in it: 1 the session runs, 0 look again. */
static int look(struct joining *j, struct error **err)
{
    struct lease *lease = &j->session->lease;
    struct record record;

    int got = lease_try(lease, false, err);
    bool there = got > 0 && record_read(&record, lease->lock) && !is_dead(j, &record);
    if (there && !wants_other(j, &record))
        return join(j, &record, err);
    if (got < 0 || (got = lease_try(lease, true, err)) < 0)
        return -1;
    if (got > 0 &&
        !(record_read(&record, lease->lock) && !is_dead(j, &record) && !wants_other(j, &record)))
        return make(j, err) < 0 ? -1 : join_again(j, NULL, err);
    if (got > 0 || !there)
        return 0;
    /* Another policy or image made it, and somebody is in it. */
    return join_again(j, &record, err);
}

/* Other sessions hold on to one whose guest answers nobody. */
static bool is_stuck(const struct joining *j)
{
    struct record record;

    return j->dead[0] && now_ms() - j->dead_since > DEAD_MS &&
           record_peek(&record, &j->session->lease) && is_dead(j, &record);
}

int shared_start(struct session *s, const struct shared_way *way, struct error **err)
{
    struct joining j = {.session = s, .way = way};
    long long end = now_ms() + TURN_MS;
    int rc;

    /* Only who makes a container has it watched: of who joins one nothing is left
     * that its guest doesn't see to. */
    if (lease_open(&s->lease, s->policy->runtime_dir, s->request.account.uid, s->key, err) < 0)
        return -1;
    if (!lease_is_there(&s->lease) && watch(&j, NULL, err) < 0)
        return -1;
    if (creation_policy(s, j.policy, err) < 0)
        return -1;
    while ((rc = look(&j, err)) == 0) {
        if (now_ms() > end)
            rc = error_set(err, 0, "container %s: other logins have been making it for %d s",
                           s->container, TURN_MS / 1000);
        else if (is_stuck(&j))
            rc = error_set(err, 0,
                           "container %s answers no login, and others are in it still: end them, "
                           "or the container",
                           s->container);
        else if (client_poll(&s->client, NULL, 0, LOOK_EVERY_MS, err) < 0)
            rc = -1;
        if (rc < 0)
            break;
    }
    return rc < 0 ? -1 : 0;
}
