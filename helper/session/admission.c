#include "config.h"

#include "session/admission.h"

#include "base/file.h"
#include "policy/command.h"
#include "policy/home.h"
#include "policy/mount.h"
#include "session/nss_alarm.h"
#include "session/sftp.h"

#include <stdio.h>
#include <string.h>

enum { TLS_FILE_MAX = 1024 * 1024 };

static struct policy *read_policy(struct session *s, const char *config, struct error **err)
{
    struct policy *policy = policy_load(config, &s->request.account, err);

    if (!policy)
        s->cause = error_kind(*err) == ERROR_REFUSED ? "unmapped" : "config";
    return policy;
}

/* Whoever the uid's first name is, the policy is the vouched one's. Berth.conf is read
 * twice only where a uid has several names. */
static int ask_policy(struct session *s, const char *config, struct error **err)
{
    struct request *r = &s->request;
    int other = 0;

    if (r->ambiguous) {
        bool each;
        cleanup_policy struct policy *top = policy_load_engine(config, &r->account, &each, err);
        if (!top)
            s->cause = "config";
        if (!top || request_vouch(r, top->runtime_dir, err) < 0)
            return -1;
    }
    s->policy = read_policy(s, config, err);
    if (s->policy && !r->ambiguous)
        other = request_vouch(r, s->policy->runtime_dir, err);
    if (other > 0) {
        policy_free(s->policy);
        s->policy = read_policy(s, config, err);
    }
    return s->policy && other >= 0 ? 0 : -1;
}

/* Groups are asked for on the way, NSS too. */
static int load_policy(struct session *s, const char *config, struct error **err)
{
    nss_alarm_on(&s->request, "tell what groups the login is in");
    int rc = ask_policy(s, config, err);
    nss_alarm_off();
    return rc;
}

/* Whether the policy lets this request in. */
static int permit(struct session *s, struct error **err)
{
    const struct policy *p = s->policy;
    const struct request *r = &s->request;

    s->cause = "deny";
    if (p->deny)
        return error_set(err, 0, "%s", p->deny);
    s->cause = "tty";
    if (r->tty && !p->tty)
        return error_set(err, 0, "no terminal for %s (tty = no in berth.conf): use ssh -T",
                         r->account.name);
    if (r->tty && sftp_is_logged(p, r, p->engine.socket != NULL))
        return error_set(err, 0,
                         "sftp needs no terminal, on which its log would be mixed with it: "
                         "leave out -t");
    s->cause = "command";
    if (r->kind == REQUEST_SFTP && p->sftp == SFTP_OFF && !p->force_command)
        return error_set(err, 0, "no sftp for %s (sftp = off in berth.conf)", r->account.name);
    /* `create` may give it one. */
    if (request_is_mosh(r) && strcmp(p->network, "none") == 0 && !p->create && !p->force_command)
        return error_set(err, 0,
                         "mosh can't reach a container without a network (network = none in "
                         "berth.conf): use ssh, and tmux for work that outlives the connection");
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

/* A home that isn't there yet is the one mistake here that each new login makes. */
static int mount_refused(const struct session *s, const struct mount *mount, struct error **err)
{
    const struct policy *p = s->policy;
    const struct account *account = &s->request.account;

    if (!home_is(p, mount))
        return error_wrap(err, "mount %s", mount->target);
    if (error_kind(*err) != ERROR_NOT_FOUND)
        return error_wrap(err, "home %s", p->home_at);
    return error_wrap(err,
                      "home %s is missing; the administrator can make it (install -d -m 0700 "
                      "-o %u -g %u %s) or have pam_berth do so",
                      p->home_at, (unsigned)account->uid, (unsigned)account->gid, p->home);
}

/* What an engine on this machine mounts as root must be what was meant. */
int admission_mounts(struct session *s, struct error **err)
{
    const struct policy *p = s->policy;

    s->cause = "mount";
    for (size_t i = 0; p->engine.socket && i < p->mount_count; i++)
        if (!p->mounts[i].volume && mount_source_check(p->mounts[i].source, err) < 0)
            return mount_refused(s, &p->mounts[i], err);
    return 0;
}

static int check_tls_file(const char *path, enum trust trust, struct error **err)
{
    cleanup_fd int fd = file_open_trusted(path, trust, TLS_FILE_MAX, err);

    return fd < 0 ? -1 : 0;
}

/* libcurl reads them by name; their directories are the administrator's. */
static int check_tls(struct session *s, struct error **err)
{
    const struct engine_config *engine = &s->policy->engine;

    s->cause = "tls";
    if (!engine->host)
        return 0;
    if (check_tls_file(engine->tls_ca, TRUST_PUBLIC, err) < 0 ||
        check_tls_file(engine->tls_cert, TRUST_PUBLIC, err) < 0 ||
        check_tls_file(engine->tls_key, TRUST_SECRET, err) < 0)
        return error_wrap(err, "engine %s", engine->endpoint);
    return 0;
}

int admission_read(struct session *s, const char *config, struct strings *env, struct error **err)
{
    s->cause = "login";
    return request_read(&s->request, env, err) < 0 || load_policy(s, config, err) < 0 ? -1 : 0;
}

int admission_check(struct session *s, struct error **err)
{
    return permit(s, err) < 0 || admission_mounts(s, err) < 0 || check_tls(s, err) < 0 ? -1 : 0;
}
