#include "config.h"

#include "session/session.h"

#include "base/file.h"
#include "channel/relay.h"
#include "policy/command.h"
#include "policy/mount.h"
#include "policy/policy.h"
#include "session/audit.h"
#include "session/identity.h"
#include "session/lease.h"
#include "session/outcome.h"
#include "session/place.h"
#include "session/request.h"
#include "session/sftp_refusal.h"
#include "session/spec.h"
#include "session/watcher.h"

#include <errno.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { TLS_FILE_MAX = 1024 * 1024 };

struct session {
    struct request request;
    struct policy *policy;
    char machine[MACHINE_SIZE];
    char container[CONTAINER_NAME_SIZE];
    struct http_target target;
    struct lease lease;
    struct watcher watcher;
    struct client client;
    struct engine *engine;
    struct attach attach;
    struct relay_result result;
    bool client_open, running;
    long long began; /* now_ms() */
};

/* Whether the policy lets this request in. */
static int permit(const struct session *s, struct error **err)
{
    const struct policy *p = s->policy;
    const struct request *r = &s->request;

    if (p->deny)
        return error_set(err, 0, "%s", p->deny);
    if (r->tty && !p->tty)
        return error_set(err, 0, "no terminal for %s (tty = no in berth.conf): use ssh -T",
                         r->account.name);
    if (p->commands.count == 0 || p->force_command)
        return 0;
    const char *command = r->kind == REQUEST_SFTP ? "sftp" : r->command;
    if (!command)
        return error_set(err, 0, "no shell for %s: berth.conf allows certain commands only",
                         r->account.name);
    if (!command_allowed(&p->commands, command))
        return error_set(err, 0, "%s is not allowed this command (commands in berth.conf): %s",
                         r->account.name, command);
    return 0;
}

/* What an engine on this machine mounts as root must be what was meant. */
static int check_mounts(const struct session *s, struct error **err)
{
    const struct policy *p = s->policy;

    for (size_t i = 0; p->engine.socket && i < p->mount_count; i++)
        if (!p->mounts[i].volume && mount_source_check(p->mounts[i].source, err) < 0)
            return error_wrap(err, "mount %s", p->mounts[i].target);
    return 0;
}

static int check_tls_file(const char *path, enum trust trust, struct error **err)
{
    cleanup_fd int fd = file_open_trusted(path, trust, TLS_FILE_MAX, err);

    return fd < 0 ? -1 : 0;
}

/* libcurl reads them by name; their directories are the administrator's. */
static int check_tls(const struct engine_config *engine, struct error **err)
{
    if (!engine->host)
        return 0;
    if (check_tls_file(engine->tls_ca, TRUST_PUBLIC, err) < 0 ||
        check_tls_file(engine->tls_cert, TRUST_PUBLIC, err) < 0 ||
        check_tls_file(engine->tls_key, TRUST_SECRET, err) < 0)
        return error_wrap(err, "engine %s", engine->endpoint);
    return 0;
}

/* Everything that can refuse without the engine. */
static int admit(struct session *s, const char *config, struct strings *env, struct error **err)
{
    if (request_read(&s->request, env, err) < 0)
        return -1;
    s->policy = policy_load(config, &s->request.account, err);
    if (!s->policy || permit(s, err) < 0 || check_mounts(s, err) < 0 ||
        check_tls(&s->policy->engine, err) < 0)
        return -1;
    const struct engine_config *engine = &s->policy->engine;
    s->target = (struct http_target){.socket = engine->socket,
                                     .host = engine->host,
                                     .tls_ca = engine->tls_ca,
                                     .tls_cert = engine->tls_cert,
                                     .tls_key = engine->tls_key};
    identity_machine(s->machine);
    identity_name(s->container, s->machine, s->request.account.uid, s->request.session);
    return 0;
}

/* From here on the session lives, and whoever kills it leaves nothing. */
static int guard(struct session *s, struct error **err)
{
    struct watcher_task task = {.target = &s->target,
                                .lease = &s->lease,
                                .machine = s->machine,
                                .uid = s->request.account.uid};

    if (lease_take(&s->lease, s->policy->runtime_dir, s->request.account.uid, s->request.session,
                   err) < 0 ||
        watcher_start(&s->watcher, &task, err) < 0 || lease_publish(&s->lease, err) < 0)
        return -1;
    s->client_open = true;
    return client_open(&s->client, s->request.tty, err);
}

/* What to do about an engine that isn't reached. */
static const char *engine_hint(const char *socket)
{
    if (!socket || access(socket, R_OK | W_OK) == 0)
        return " (does it run?)";
    return errno == EACCES ? " (this login must be in the socket's group)"
                           : " (no such socket: is it started, and endpoint right?)";
}

static int start(struct session *s, struct error **err)
{
    struct spec_context context = {.machine = s->machine, .local = s->target.socket != NULL};

    s->engine = engine_new(&s->target, err);
    if (!s->engine)
        return -1;
    http_set_watch(engine_http(s->engine), client_watch(&s->client));
    if (engine_negotiate(s->engine, err) < 0)
        return error_wrap(err, "cannot reach the container engine at %s%s",
                          s->policy->engine.endpoint, engine_hint(s->target.socket));
    context.console_size = engine_has(s->engine, 42);
    context.has_window = client_window(&s->client, &context.window);
    struct json_object *body = spec_make(s->policy, &s->request, &context, err);
    if (!body)
        return -1;
    int rc = place_create(s->engine, s->policy, s->container, body, &s->watcher,
                          s->request.tty ? 2 : -1, err);
    json_object_put(body);
    if (rc < 0)
        return error_wrap(err, "cannot create a container");
    if (attach_start(&s->attach, s->engine, s->container, s->request.tty, context.local, err) < 0)
        return error_wrap(err, "cannot start a container");
    return 0;
}

static int run(struct session *s, struct error **err)
{
    if (s->policy->banner && s->request.tty)
        outcome_banner(s->policy->banner);
    if (start(s, err) < 0)
        return -1;
    s->running = true;
    audit_open(&s->request, s->policy, s->container);
    client_raw(&s->client);
    watcher_tell(&s->watcher, WATCHER_RUNNING);
    if (relay_run(&s->client, &s->attach, &s->result, err) < 0)
        return error_wrap(err, "session lost");
    return 0;
}

/* How it ended, in the words of the log; `tell` is for the user, where the end
 * isn't the command's own. */
struct ending {
    int status;
    const char *reason;
    char *tell;
};

static struct ending ending_of(struct session *s, const struct error *err)
{
    struct ending e = {.status = s->result.status, .reason = "exit"};
    int signal = s->client_open ? client_take_signal(&s->client) : 0;

    if (err && error_kind(err) == ERROR_ABANDONED) {
        e.reason = s->client.gone ? "client-gone" : "signal";
        e.status = 128 + (signal ? signal : SIGHUP);
    } else if (err) {
        e = (struct ending){OUTCOME_REFUSED, "error", strdup(error_text(err))};
    } else if (s->result.end == RELAY_GONE) {
        e.reason = "client-gone";
        e.status = 128 + SIGHUP;
    } else if ((e.tell = outcome_no_shell(&s->result, s->policy))) {
        e.status = OUTCOME_REFUSED;
        e.reason = "error";
    }
    return e;
}

/* An sftp client that was never answered hears of it in its own protocol. */
static void tell_sftp(const struct session *s, const struct ending *e)
{
    cleanup_string char *said = NULL, *line = NULL;

    if (s->request.kind != REQUEST_SFTP || s->request.tty || s->result.bytes_out > 0 ||
        e->status == 0 || s->client.gone)
        return;
    if (!e->tell)
        said = outcome_sftp(&s->result, s->policy);
    if (e->tell || said)
        line = text_format("berth: %s", e->tell ? e->tell : said);
    if (line)
        sftp_refuse(0, 1, line);
}

/* The helper's exit status, said to the log and to the user. */
static int conclude(struct session *s, const struct error *err)
{
    struct ending e = ending_of(s, err);

    struct audit_end end = {.status = e.status,
                            .reason = e.reason,
                            .detail = e.tell,
                            .ms = now_ms() - s->began,
                            .in = s->result.bytes_in,
                            .out = s->result.bytes_out + s->result.bytes_err};

    if (s->running)
        audit_close(&s->request, s->policy, s->container, &end);
    else
        audit_deny(&s->request, s->policy, e.tell ? e.tell : e.reason);
    if (e.tell)
        outcome_tell(e.tell);
    tell_sftp(s, &e);
    free(e.tell);
    return e.status;
}

int session_run(const char *config, struct strings *env)
{
    struct session s = {.lease = {.dir = -1, .lock = -1},
                        .watcher = {.pipe = -1},
                        .attach = {.init = -1},
                        .began = now_ms()};
    cleanup_error struct error *err = NULL;

    if (admit(&s, config, env, &err) == 0 && guard(&s, &err) == 0)
        (void)run(&s, &err);
    /* All of the engine's is let go first: should the user's terminal take no
     * message, the watcher is at work already. */
    attach_close(&s.attach);
    engine_free(s.engine);
    close_fd(&s.watcher.pipe);
    if (s.client_open)
        client_close(&s.client);
    int status = conclude(&s, err);
    lease_close(&s.lease);
    policy_free(s.policy);
    request_free(&s.request);
    return status;
}
