#include "config.h"

#include "session/hold.h"

#include "base/file.h"
#include "base/process.h"
#include "base/runtime.h"
#include "channel/guest.h"
#include "session/admission.h"
#include "session/by_direct.h"
#include "session/creation.h"
#include "session/forwarding.h"
#include "session/outcome.h"
#include "session/shared.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum {
    /* One that says nothing for so long may have been paused. */
    SUSPECT_MS = 2000,
};

/* Each may have a container of its own: as many as there may be sessions. */
static int take_place(struct session *s, struct error **err)
{
    const struct policy *p = s->policy;
    const char *user = s->request.account.name;
    unsigned held;
    cleanup_fd int dir = runtime_open_user(p->runtime_dir, s->request.account.uid, true, err);
    int rc = dir < 0 ? -1 : register_join_hold(&s->limits.place, dir, p->max_sessions, &held, err);

    if (rc < 0)
        return -1;
    if (rc == 0)
        return error_set(
            err, 0,
            "%s has %u connections that may forward already (max_sessions = %lld): end "
            "one, or ask the administrator",
            user, held, p->max_sessions);
    return session_register(s, true, err);
}

static int plan(struct session *s, struct error **err)
{
    if (s->policy->deny)
        return error_set(err, 0, "%s", s->policy->deny);
    if (!s->policy->forwarding)
        return error_set(err, 0, "no forwarding = container in berth.conf for %s",
                         s->request.account.name);
    if (!s->request.vouched.id[0])
        return error_set(err, 0,
                         "pam_berth vouches for no such connection: it runs this, nobody "
                         "else");
    /* Its sessions have each a container of their own, with the network of this one. */
    if (s->policy->scope == SCOPE_SESSION)
        s->policy->scope = SCOPE_CONNECTION;
    if (admission_mounts(s, err) < 0 || session_plan(s, err) < 0)
        return -1;
    return take_place(s, err);
}

static int make(void *data, struct json_object *body, struct record *made, struct error **err)
{
    struct session *s = data;

    if (s->direct)
        return by_direct_make(s, body, made, err);
    if (forwarding_mounts(s)) {
        cleanup_fd int folder = forwarding_make_folder(s, err);
        if (folder < 0)
            return -1;
    }
    return creation_run(s, body, -1, NULL, made, err);
}

static int greet(struct session *s, int folder, const struct record *record, struct error **err)
{
    struct stream stream;
    cleanup_fd int fd = guest_connect(folder, record->pid, &s->client, err);

    if (fd < 0)
        return -1;
    stream_open(&stream, fd, MESSAGE_FROM_GUEST);
    int rc = guest_hello(&stream, SUSPECT_MS, &s->client, err);
    if (rc < 0 && error_kind(*err) == ERROR_SLOW) {
        error_clear(err);
        rc = creation_thaw(s, record->id, err);
        if (rc == 0)
            rc = guest_hello(&stream, GUEST_ANSWER_MS, &s->client, err);
    }
    stream_clear(&stream);
    return rc;
}

/* Nothing is started in it, but a dead one would take no session. */
static enum shared_join join(void *data, const struct record *record, struct error **err)
{
    struct session *s = data;

    if (!record_lives(record))
        return SHARED_DEAD;
    if (!s->direct)
        return SHARED_RUNS;
    cleanup_fd int folder = lease_open_folder(&s->lease);
    if (folder >= 0 && greet(s, folder, record, err) == 0)
        return SHARED_RUNS;
    if (folder >= 0 && error_kind(*err) != ERROR_LOST && error_kind(*err) != ERROR_SLOW)
        return SHARED_FAILED;
    error_clear(err);
    return SHARED_DEAD;
}

static int report(const struct session *s, struct record *record, struct error **err)
{
    char line[LEASE_SESSION_SIZE + CONTAINER_ID_SIZE + 16];

    if (!record_read(record, s->lease.lock))
        return error_set(err, 0, "container %s has ended", s->container);
    int len = snprintf(line, sizeof line, "%s %d %s\n", s->key, (int)record->pid, record->id);
    if (write(1, line, (size_t)len) != len)
        return error_set(err, errno, "cannot tell pam_berth of container %s", s->container);
    return 0;
}

/* pam_berth waits for the end of what it reads. */
static void let_go(void)
{
    cleanup_fd int null = open("/dev/null", O_RDWR | O_CLOEXEC);

    for (int fd = 0; null >= 0 && fd <= 2; fd++)
        (void)dup2(null, fd);
}

/* Or that of the container: who kept the lock of one that has ended would keep the user from
 * having another as long as he is connected. */
static void await_end(const struct connection *vouched, int sshd, const struct record *record)
{
    enum process_place place;
    cleanup_fd int container = process_open(record->pid, record->id, &place);
    struct pollfd ends[] = {{.fd = sshd, .events = POLLIN}, {.fd = container, .events = POLLIN}};

    /* /proc may hide it. */
    unsigned long long started = process_started(vouched->sshd);
    if (sshd < 0 || (started != 0 && started != vouched->started) || container < 0 ||
        place == PROCESS_ELSEWHERE)
        return;
    process_trim();
    while (poll(ends, 2, -1) < 0 && errno == EINTR)
        ;
}

static void keep(struct session *s, const struct record *record)
{
    const struct connection *vouched = &s->request.vouched;
    cleanup_fd int sshd = process_open(vouched->sshd, "", NULL);
    struct watcher_task task = shared_watch(s);

    await_end(vouched, sshd, record);
    /* The last use of the container that the file's time tells (watcher.c, sweep.c). */
    lease_note(&s->lease, WATCHER_KEPT);
    if (s->policy->scope == SCOPE_CONNECTION)
        task.connection = sshd;
    watcher_stand_in(&s->watcher, &task, &s->lease);
}

static int run(struct session *s, const char *config, struct strings *env, struct error **err)
{
    const struct shared_way way = {make, join, s};
    struct record record;

    client_none(&s->client);
    if (admission_read(s, config, env, err) < 0 || plan(s, err) < 0 ||
        shared_start(s, &way, err) < 0 || report(s, &record, err) < 0)
        return -1;
    let_go();
    watcher_tell(&s->watcher, WATCHER_RUNNING);
    keep(s, &record);
    return 0;
}

int hold_run(const char *config, struct strings *env)
{
    struct session s = {.lease = {.dir = -1, .lock = -1},
                        .watcher = {.pipe = -1},
                        .limits = {.place = {.fd = -1}, .host = -1},
                        .metrics = -1,
                        .forwarding = -1,
                        .holds = true};
    cleanup_error struct error *err = NULL;

    int rc = run(&s, config, env, &err);
    if (rc < 0)
        outcome_tell(error_text(err));
    watcher_leave(&s.watcher);
    lease_close(&s.lease);
    register_leave(&s.limits.place);
    policy_free(s.policy);
    request_free(&s.request);
    return rc < 0 ? OUTCOME_REFUSED : 0;
}
