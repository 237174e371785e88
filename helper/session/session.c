#include "config.h"

#include "session/session.h"

#include "base/file.h"
#include "base/runtime.h"
#include "policy/limit.h"
#include "policy/policy.h"
#include "session/admission.h"
#include "session/audit.h"
#include "session/auth_info.h"
#include "session/by_attach.h"
#include "session/by_direct.h"
#include "session/forwarding.h"
#include "session/metrics.h"
#include "session/monitor.h"
#include "session/network.h"
#include "session/outcome.h"
#include "session/sftp_refusal.h"
#include "session/standby.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static int choose_channel(struct session *s, struct error **err)
{
    const struct policy *p = s->policy;

    s->cause = "config";
    if (p->channel == CHANNEL_DIRECT && !p->engine.socket)
        return error_set(err, 0,
                         "channel = direct needs an engine on this machine, not %s: use auto "
                         "or attach in berth.conf",
                         p->engine.endpoint);
    s->direct = p->channel == CHANNEL_DIRECT ||
                (p->channel == CHANNEL_AUTO && p->engine.socket &&
                 (!p->runtime || policy_passes_sockets(p->runtime)));
    return 0;
}

void session_place(struct session *s, const char *key)
{
    snprintf(s->key, sizeof s->key, "%s", key);
    identity_name(s->container, s->machine, s->request.account.uid, s->key);
}

/* Addresses and ports of both sides: one at a time has these. Whom a namesake could choose
 * his own to fit goes by what nobody can choose. */
void session_connection_key(const struct session *s, char key[LEASE_SESSION_SIZE])
{
    if (s->request.twin)
        snprintf(key, LEASE_SESSION_SIZE, "n%.15s", s->request.vouched.id);
    else
        snprintf(key, LEASE_SESSION_SIZE, "n%015" PRIx64, text_hash(s->request.connection) >> 4);
}

/* Whose container it is: what its name and its lock are made of. */
static int choose_key(struct session *s, struct error **err)
{
    char key[LEASE_SESSION_SIZE];

    switch (s->policy->scope) {
    case SCOPE_USER:
        if (s->request.twin)
            snprintf(key, sizeof key, "u%015" PRIx64, text_hash(s->request.account.name) >> 4);
        else
            snprintf(key, sizeof key, "user");
        break;
    case SCOPE_CONNECTION:
        if (!s->request.connection)
            return error_set(err, 0, "scope = connection, and no SSH_CONNECTION: run me by sshd");
        session_connection_key(s, key);
        break;
    case SCOPE_SESSION:
    default:
        snprintf(key, sizeof key, "%s", s->request.session);
        break;
    }
    session_place(s, key);
    return 0;
}

int session_plan(struct session *s, struct error **err)
{
    const struct engine_config *engine = &s->policy->engine;

    s->target = (struct http_target){.socket = engine->socket,
                                     .host = engine->host,
                                     .tls_ca = engine->tls_ca,
                                     .tls_cert = engine->tls_cert,
                                     .tls_key = engine->tls_key};
    if (choose_channel(s, err) < 0)
        return -1;
    identity_machine(s->machine);
    return choose_key(s, err);
}

int session_register(struct session *s, bool running, struct error **err)
{
    const struct request *r = &s->request;
    struct timespec now;

    if (s->since == 0) {
        clock_gettime(CLOCK_REALTIME, &now);
        s->since = (long long)now.tv_sec * 1000 + now.tv_nsec / 1000000;
    }
    struct session_entry entry = {.kind = s->holds ? REQUEST_FORWARD : r->kind,
                                  .tty = r->tty,
                                  .scope = s->policy->scope,
                                  .direct = s->direct,
                                  .running = running,
                                  .since = s->since};

    snprintf(entry.session, sizeof entry.session, "%s", s->holds ? r->vouched.id : r->session);
    snprintf(entry.user, sizeof entry.user, "%s", r->account.name);
    snprintf(entry.client, sizeof entry.client, "%s", r->client);
    snprintf(entry.port, sizeof entry.port, "%s", r->port);
    snprintf(entry.container, sizeof entry.container, "%s", s->container);
    return register_write(&s->limits.place, &entry, err);
}

static int enrol(struct session *s, int dir, struct error **err)
{
    cleanup_fd int own = -1;

    /* It could not be opened before: why, is said now. */
    if (dir < 0)
        dir = own = runtime_open_user(s->policy->runtime_dir, s->request.account.uid, true, err);
    s->cause = "error";
    if (dir < 0 ||
        limits_admit(&s->limits, s->policy, s->request.account.name, dir, &s->cause, err) < 0)
        return -1;
    return session_register(s, false, err);
}

/* What refuses by the policy, without the engine. */
static int admit_by_policy(struct session *s, struct error **err)
{
    cleanup_error struct error *none = NULL;
    cleanup_fd int dir = runtime_open_user(s->policy->runtime_dir, s->request.account.uid, true,
                                           &none);

    s->metrics = metrics_open(dir);
    if (admission_check(s, err) < 0 || session_plan(s, err) < 0 || network_check(s, err) < 0)
        return -1;
    forwarding_plan(s);
    return enrol(s, dir, err);
}

/* What holds for everybody can be had all the same, where the file can be read. */
static void open_metrics(struct session *s, const char *config)
{
    bool each;
    cleanup_error struct error *none = NULL;
    cleanup_policy struct policy *p = policy_load_engine(config, &s->request.account, &each, &none);
    cleanup_fd int dir = p ? runtime_open_user(p->runtime_dir, s->request.account.uid, true, &none)
                           : -1;

    s->metrics = metrics_open(dir);
}

static int admit(struct session *s, const char *config, struct strings *env, struct error **err)
{
    if (admission_read(s, config, env, err) < 0) {
        if (s->request.account.name)
            open_metrics(s, config);
        return -1;
    }
    int rc = admit_by_policy(s, err);
    if (rc == 0)
        s->cause = NULL;
    return rc;
}

int session_watch(struct session *s, struct error **err)
{
    struct watcher_task task = {.target = &s->target,
                                .lease = &s->lease,
                                .machine = s->machine,
                                .uid = s->request.account.uid,
                                .connection = -1,
                                .refill = standby_refill,
                                .session = s};

    return watcher_start(&s->watcher, &task, err);
}

int session_guard(struct session *s, struct error **err)
{
    if (lease_take(&s->lease, s->policy->runtime_dir, s->request.account.uid, s->key, err) < 0 ||
        session_watch(s, err) < 0)
        return -1;
    return lease_publish(&s->lease, err);
}

void session_begun(struct session *s)
{
    cleanup_error struct error *ignored = NULL;

    s->running = true;
    /* It may be another container than it was to be. */
    (void)session_register(s, true, &ignored);
    metrics_started(s->metrics, now_ms() - s->began);
    monitor_know(&s->request);
    auth_info_know(&s->request);
    deadline_start(&s->client.deadline, s->policy->max_time, s->policy->idle_timeout,
                   s->request.tty ? 1 : -1);
    audit_open(&s->request, s->policy, s->container);
    client_raw(&s->client);
    watcher_tell(&s->watcher, WATCHER_RUNNING);
}

static int run(struct session *s, struct error **err)
{
    s->client_open = true;
    if (client_open(&s->client, s->request.tty, err) < 0)
        return -1;
    if (s->policy->banner && s->request.tty)
        outcome_banner(s->policy->banner);
    if (s->policy->motd && s->request.tty && !s->request.command && !s->policy->force_command)
        outcome_motd(s->policy->motd, s->request.session);
    return s->direct ? by_direct(s, err) : by_attach(s, err);
}

/* How it ended, in the words of the log; `tell` is for the user, where the end
 * isn't the command's own. */
struct ending {
    int status;
    int signal; /* that ended the command, or 0 */
    const char *reason;
    char *tell;
    bool failed; /* and the log hears it too */
};

static struct ending ending_by_time(const struct session *s)
{
    const struct policy *p = s->policy;
    bool idle = s->client.deadline.over == DEADLINE_IDLE;
    char time[LIMIT_TIME_SIZE];

    limit_time_text(time, idle ? p->idle_timeout : p->max_time);
    return (struct ending){
        .status = OUTCOME_REFUSED,
        .reason = idle ? "idle-timeout" : "max-time",
        .tell = idle ? text_format("this session was silent for too long (idle_timeout = %s)", time)
                     : text_format("this session's time is over (max_time = %s)", time)};
}

static struct ending ending_of(struct session *s, const struct error *err)
{
    struct ending e = {.status = s->result.status, .signal = s->result.signal, .reason = "exit"};
    int signal = s->client_open ? client_take_signal(&s->client) : 0;

    bool gone = err ? error_kind(err) == ERROR_ABANDONED : s->result.end == RELAY_GONE;

    if (gone && s->client.killed) {
        e = (struct ending){.status = OUTCOME_REFUSED,
                            .reason = "killed",
                            .tell = strdup("this session was ended by the administrator")};
    } else if (gone && err) {
        e.reason = s->client.gone ? "client-gone" : "signal";
        e.status = 128 + (signal ? signal : SIGHUP);
    } else if (err) {
        e = (struct ending){.status = OUTCOME_REFUSED,
                            .reason = "error",
                            .tell = strdup(error_text(err)),
                            .failed = true};
    } else if (gone) {
        e.reason = "client-gone";
        e.status = 128 + SIGHUP;
    } else if (s->result.end == RELAY_OVER) {
        e = ending_by_time(s);
    } else if (!s->direct && (e.tell = outcome_no_command(&s->result, s->policy))) {
        e.status = OUTCOME_REFUSED;
        e.reason = "error";
        e.failed = true;
    }
    return e;
}

/* An sftp client that was never answered hears of it in its own protocol. */
static void tell_sftp(const struct session *s, const struct ending *e)
{
    cleanup_string char *said = NULL, *line = NULL;

    if (s->request.kind != REQUEST_SFTP || s->request.tty || s->result.bytes_out > 0 ||
        e->status == 0 || (s->client.gone && !s->client.killed))
        return;
    /* sshd's pipes are the sftp-server's alone. */
    if (s->direct && s->running)
        return;
    if (!e->tell)
        said = outcome_sftp(&s->result, s->policy);
    /* It went to the log, and who asked for sftp by a command reads stderr. */
    if (said && s->tapped)
        outcome_tell(said);
    if (e->tell || said)
        line = text_format("berth: %s", e->tell ? e->tell : said);
    if (line)
        sftp_refuse(0, 1, line);
}

static void log_end(struct session *s, const struct ending *e, const struct audit_end *end)
{
    if (s->running) {
        audit_close(&s->request, s->policy, s->container, end);
        metrics_ended(s->metrics,
                      e->signal && strcmp(e->reason, "exit") == 0 ? "signal" : e->reason);
        return;
    }
    const char *cause = s->cause ? s->cause : e->reason;
    monitor_know(&s->request);
    auth_info_know(&s->request);
    audit_deny(&s->request, s->policy, cause, e->tell ? e->tell : e->reason);
    metrics_refused(s->metrics, cause);
}

/* The helper's exit status, said to the log and to the user. */
static struct session_end conclude(struct session *s, const struct error *err)
{
    struct ending e = ending_of(s, err);

    struct audit_end end = {.status = e.status,
                            .signal = e.signal,
                            .reason = e.reason,
                            .detail = e.failed ? e.tell : NULL,
                            .ms = now_ms() - s->began,
                            .in = s->result.bytes_in,
                            .out = s->result.bytes_out + s->result.bytes_err};

    log_end(s, &e, &end);
    if (e.tell)
        outcome_tell(e.tell);
    tell_sftp(s, &e);
    free(e.tell);
    return (struct session_end){.status = e.status, .signal = e.signal};
}

struct session_end session_run(const char *config, struct strings *env)
{
    struct session s = {.lease = {.dir = -1, .lock = -1},
                        .watcher = {.pipe = -1},
                        .limits = {.place = {.fd = -1}, .host = -1},
                        .metrics = -1,
                        .forwarding = -1,
                        .began = now_ms()};
    cleanup_error struct error *err = NULL;

    if (admit(&s, config, env, &err) == 0)
        (void)run(&s, &err);
    /* All is let go, the container too: should the user's terminal take no message,
     * the watcher is at work already, and the next login isn't kept. */
    watcher_leave(&s.watcher);
    forwarding_stop(&s);
    if (s.client_open)
        client_close(&s.client);
    lease_close(&s.lease);
    struct session_end end = conclude(&s, err);
    limits_leave(&s.limits);
    close_fd(&s.metrics);
    policy_free(s.policy);
    request_free(&s.request);
    return end;
}
