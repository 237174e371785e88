#include "config.h"

#include "session/by_direct.h"

#include "base/file.h"
#include "channel/direct.h"
#include "channel/guest.h"
#include "session/confine.h"
#include "session/creation.h"
#include "session/forwarding.h"
#include "session/launch.h"
#include "session/sftp_log.h"
#include "session/shared.h"
#include "session/standby.h"
#include "session/upkeep.h"

#include <json-c/json.h>

enum {
    /* A fresh container's guest waits so long for its one session. */
    FIRST_SESSION_S = 60,
    /* A guest that says nothing for so long may have been paused: the engine is
     * asked, and then it has GUEST_ANSWER_MS. */
    SUSPECT_MS = 2000,
};

/* A container of the session's own. */
static int start_fresh(struct session *s, struct direct *direct, const struct text *payload,
                       struct error **err)
{
    static const struct message_listen terms = {.linger = FIRST_SESSION_S, .once = true};
    struct record made = {0};
    char policy[SPEC_HASH_SIZE];

    if (session_guard(s, err) < 0)
        return -1;
    cleanup_fd int folder = forwarding_make_folder(s, err);
    struct json_object *body = folder >= 0 && creation_policy(s, policy, err) == 0
                                   ? creation_body(s, policy, err)
                                   : NULL;
    int rc = body ? creation_run(s, body, folder, &terms, &made, err) : -1;
    json_object_put(body);
    if (rc < 0)
        return -1;
    forwarding_start(s);
    return direct_start(direct, folder, made.pid, payload, GUEST_ANSWER_MS, &s->client, err);
}

/* A shared container's session (shared.h). */
struct joining {
    struct session *session;
    struct direct *direct;
    const struct text *payload;
};

static struct message_listen terms_of(const struct session *s)
{
    const struct policy *p = s->policy;
    long long grace = p->hangup_grace < UINT32_MAX / 1000 ? p->hangup_grace * 1000 : UINT32_MAX;
    struct message_listen terms = {.linger = (uint32_t)p->linger, .grace = (uint32_t)grace};

    /* A connection's end is seen by its watcher. */
    if (p->linger < 0 || p->scope == SCOPE_CONNECTION || !shared_guest_lingers(s))
        terms.linger = LINGER_FOREVER;
    return terms;
}

int by_direct_make(struct session *s, struct json_object *body, struct record *made,
                   struct error **err)
{
    const struct message_listen terms = terms_of(s);
    cleanup_fd int folder = forwarding_make_folder(s, err);

    return folder < 0 ? -1 : creation_run(s, body, folder, &terms, made, err);
}

static int make_shared(void *data, struct json_object *body, struct record *made,
                       struct error **err)
{
    return by_direct_make(((struct joining *)data)->session, body, made, err);
}

/* A guest that hasn't answered has the session's START all the same: it is thawed
 * and awaited, and not asked again, which could run the command twice. */
static int start_in(const struct joining *j, int folder, const struct record *record,
                    struct error **err)
{
    struct session *s = j->session;

    forwarding_start(s);
    int rc = direct_start(j->direct, folder, record->pid, j->payload, SUSPECT_MS, &s->client, err);

    if (rc == 0 || error_kind(*err) != ERROR_SLOW)
        return rc;
    error_clear(err);
    if (creation_thaw(s, record->id, err) < 0)
        return error_wrap(err, "container %s: its guest has not answered", s->container);
    return direct_await(j->direct, j->payload, GUEST_ANSWER_MS, &s->client, err);
}

static enum shared_join join_shared(void *data, const struct record *record, struct error **err)
{
    const struct joining *j = data;
    cleanup_fd int folder = lease_open_folder(&j->session->lease);

    if (folder >= 0 && start_in(j, folder, record, err) == 0)
        return SHARED_RUNS;
    forwarding_stop(j->session);
    direct_close(j->direct);
    if (folder >= 0 && error_kind(*err) != ERROR_LOST && error_kind(*err) != ERROR_SLOW)
        return SHARED_FAILED;
    error_clear(err);
    return SHARED_DEAD;
}

static int start_shared(struct session *s, struct direct *direct, const struct text *payload,
                        struct error **err)
{
    struct joining joining = {.session = s, .direct = direct, .payload = payload};
    const struct shared_way way = {make_shared, join_shared, &joining};

    return shared_start(s, &way, err);
}

static int start(struct session *s, struct direct *direct, struct error **err)
{
    cleanup_text struct text payload = {0};

    if (launch_make(&payload, s->policy, &s->request, &s->client, err) < 0)
        return -1;
    if (s->policy->scope != SCOPE_SESSION)
        return start_shared(s, direct, &payload, err);
    int rc = s->policy->standby > 0 ? standby_start(s, direct, &payload, err) : 0;
    return rc == 0 ? start_fresh(s, direct, &payload, err) : rc < 0 ? -1 : 0;
}

static int run_confined(struct session *s, struct direct *direct, struct error **err)
{
    bool back = direct->way_back >= 0;

    if (confine(s, &back, err) < 0)
        return -1;
    if (!back)
        close_fd(&direct->way_back);
    return direct_run(direct, &s->client, &s->result, err);
}

int by_direct(struct session *s, struct error **err)
{
    const struct policy *p = s->policy;
    struct direct direct;
    struct sftp_log log;

    direct_init(&direct, p->audit_bytes || p->idle_timeout > 0);
    if (sftp_log_begin(&log, s))
        direct.tap = &log.tap;
    client_watch(&s->client);
    int rc = start(s, &direct, err);
    if (rc == 0) {
        if (p->scope == SCOPE_SESSION && p->standby > 0)
            watcher_tell(&s->watcher, WATCHER_REFILL);
        session_begun(s);
        if (p->scope != SCOPE_SESSION)
            upkeep_run(s);
        if (run_confined(s, &direct, err) < 0)
            rc = error_wrap(err, "session lost");
    }
    sftp_log_end(&log);
    direct_close(&direct);
    return rc;
}
