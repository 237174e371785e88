#include "config.h"

#include "check/engines.h"

#include "engine/engine.h"
#include "engine/image.h"
#include "policy/home.h"
#include "policy/mount.h"
#include "session/nss_alarm.h"

#include <errno.h>
#include <grp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* One that was asked already, and what it has been asked about. */
struct known {
    char *endpoint;
    struct engine *engine; /* NULL: it doesn't answer */
    char *runtime;         /* that it gives where none is named; NULL: it doesn't tell */
    struct strings images; /* which it has */
};

struct round {
    struct check *check;
    const struct subjects *subjects;
    const struct stacks *stacks;
    struct known *known;
    size_t count;
};

static const struct group *group_of(gid_t gid)
{
    nss_alarm_on_check("group", "of the engine's socket");
    const struct group *group = getgrgid(gid);
    nss_alarm_off();
    return group;
}

static char *group_name(gid_t gid)
{
    const struct group *group = group_of(gid);

    return group ? strdup(group->gr_name) : text_format("%u", (unsigned)gid);
}

static bool holds(const struct strings *list, const char *name)
{
    for (size_t i = 0; i < list->count; i++)
        if (strcmp(list->items[i], name) == 0)
            return true;
    return false;
}

void engines_meet(struct subject *s)
{
    struct stat st;

    if (!s->policy || !s->policy->engine.socket || stat(s->policy->engine.socket, &st) < 0)
        return;
    cleanup_string char *name = group_name(st.st_gid);
    s->in_engine_group = name && st.st_gid != 0 && st.st_mode & S_IWGRP &&
                         holds(&s->person.groups, name);
}

/* Whether this user's helper can open the socket. */
static void look_at_access(const struct round *r, const struct subject *s, const struct stat *st,
                           const char *group)
{
    bool granted = r->stacks && s->by_shell && modules_grants(r->stacks, group);

    if (st->st_uid == s->person.account.uid || st->st_mode & S_IWOTH)
        return;
    if (s->in_engine_group)
        subject_add(r->check, s, .severity = s->by_shell ? FINDING_PROBLEM : FINDING_HOLE,
                    .id = "engine-group",
                    .what = text_format("in the group %s, which may use the engine's socket%s",
                                        group,
                                        s->by_shell ? "" : ", with a login shell of this machine"),
                    .why = "whatever else runs as him on this machine (cron, at, su, systemd "
                           "--user) has the engine, and so is root",
                    .mend = text_format("gpasswd -d USER %s; and in the PAM stack of sshd: auth "
                                        "required " PAM_MODULE " groups=%s",
                                        group, group));
    else if (!granted)
        subject_add(r->check, s, .severity = FINDING_PROBLEM, .id = "engine-access",
                    .what = text_format("nothing lets his logins use %s (group %s, mode %04o)",
                                        s->policy->engine.socket, group,
                                        (unsigned)st->st_mode & 07777),
                    .why = "they are refused: pam_berth grants the group where it is told to and "
                           "the login shell is berth-shell",
                    .mend = text_format("auth required " PAM_MODULE " groups=%s", group));
}

static bool is_subject(const struct round *r, const char *name)
{
    for (size_t i = 0; i < r->subjects->count; i++)
        if (!r->subjects->items[i].unmapped &&
            strcmp(r->subjects->items[i].person.account.name, name) == 0)
            return true;
    return false;
}

/* The socket's others. */
static void look_at_socket(const struct round *r, const char *socket, const struct stat *st,
                           const char *group)
{
    const struct group *entry = st->st_gid != 0 ? group_of(st->st_gid) : NULL;

    if (st->st_mode & S_IWOTH)
        check_add(r->check, FINDING_HOLE, "engine-open",
                  text_format("%s: anybody may use it (mode %04o)", socket,
                              (unsigned)st->st_mode & 07777),
                  "the engine is root on this machine", text_format("chmod 0660 %s", socket));
    /* Of those who weren't asked for nobody knows. */
    if (r->check->users->count > 0)
        return;
    for (char **member = entry ? entry->gr_mem : NULL; member && *member; member++)
        if (!is_subject(r, *member))
            findings_add(&r->check->findings,
                         &(struct finding){
                             .severity = FINDING_NOTE,
                             .id = "engine-others",
                             .what = text_format("%s: group %s has members who are none of berth's",
                                                 socket, group),
                             .why = "the engine makes them root on this machine",
                             .mend = text_format("gpasswd -d USER %s", group)},
                         *member);
}

static struct engine *reach(const struct round *r, const struct subject *s)
{
    const struct engine_config *config = &s->policy->engine;
    const struct http_target target = {.socket = config->socket,
                                       .host = config->host,
                                       .tls_ca = config->tls_ca,
                                       .tls_cert = config->tls_cert,
                                       .tls_key = config->tls_key};
    cleanup_error struct error *err = NULL;
    struct engine *engine = engine_new(&target, &err);

    if (engine && engine_negotiate(engine, &err) == 0)
        return engine;
    engine_free(engine);
    /* A rootless one ends with its user's last login. */
    bool may_be = r->check->each && config->socket && access(config->socket, F_OK) < 0;
    findings_add(&r->check->findings,
                 &(struct finding){.severity = may_be ? FINDING_NOTE : FINDING_PROBLEM,
                                   .id = "engine-away",
                                   .what = text_format("the engine at %s can't be used: %s",
                                                       config->endpoint, error_text(err)),
                                   .why = may_be ? "it may run only while its user is logged in"
                                                 : "no container can be made",
                                   .mend = text_format("%s", may_be ? "loginctl enable-linger USER"
                                                                    : "systemctl start docker")},
                 r->check->each ? s->person.account.name : NULL);
    return NULL;
}

static struct known *known_for(struct round *r, const struct subject *s)
{
    const char *endpoint = s->policy->engine.endpoint;
    cleanup_error struct error *untold = NULL;
    struct stat st;

    for (size_t i = 0; i < r->count; i++)
        if (strcmp(r->known[i].endpoint, endpoint) == 0)
            return &r->known[i];
    struct known *bigger = reallocarray(r->known, r->count + 1, sizeof *bigger);
    if (!bigger)
        return NULL;
    r->known = bigger;
    struct known *k = &bigger[r->count];
    *k = (struct known){.endpoint = strdup(endpoint)};
    if (!k->endpoint)
        return NULL;
    r->count++;
    k->engine = reach(r, s);
    k->runtime = k->engine ? engine_default_runtime(k->engine, &untold) : NULL;
    if (s->policy->engine.socket && stat(s->policy->engine.socket, &st) == 0) {
        cleanup_string char *group = group_name(st.st_gid);
        if (group)
            look_at_socket(r, s->policy->engine.socket, &st, group);
    }
    return k;
}

static void look_at_image(const struct round *r, struct known *k, const struct subject *s)
{
    static const char *const pulls[] = {"missing", "always", "never"};
    const char *image = s->policy->image;
    cleanup_error struct error *err = NULL;
    char id[IMAGE_ID_SIZE];

    if (!k->engine || s->policy->deny || holds(&k->images, image))
        return;
    if (image_ask(k->engine, image, id, &err) == 0) {
        (void)strings_add(&k->images, image);
        return;
    }
    bool none = error_kind(err) == ERROR_NOT_FOUND, fatal = s->policy->pull == PULL_NEVER || !none;
    subject_add(r->check, s, .severity = fatal ? FINDING_PROBLEM : FINDING_NOTE,
                .id = "image-missing",
                .what = none ? text_format("the engine has no image %s (pull = %s)", image,
                                           pulls[s->policy->pull])
                             : text_format("image %s: %s", image, error_text(err)),
                .why = fatal ? "these logins fail" : "the first login waits for it to be fetched",
                .mend = text_format("docker pull %s", image));
}

/* pam_berth makes a home whose directory is there. */
static bool is_made(const struct round *r, const struct policy *p, const struct mount *mount)
{
    cleanup_error struct error *ignored = NULL;
    const char *slash = strrchr(mount->source, '/');

    if (!home_is(p, mount) || !slash || slash == mount->source || !r->stacks ||
        !modules_has_berth(r->stacks, STACK_SESSION))
        return false;
    cleanup_string char *parent = strndup(mount->source, (size_t)(slash - mount->source));
    return parent && mount_source_check(parent, &ignored) == 0;
}

static char *mend_mount(const struct mount *mount, bool missing)
{
    return missing
               ? text_format("install -d %s, or another source for it in berth.conf", mount->source)
               : text_format("chown root DIRECTORY && chmod go-w DIRECTORY, for each on the way "
                             "to %s; none may be a symbolic link",
                             mount->source);
}

/* What a login's own check would refuse. */
static void look_at_mounts(const struct round *r, const struct subject *s)
{
    const struct policy *p = s->policy;

    for (size_t i = 0; p->engine.socket && i < p->mount_count; i++) {
        cleanup_error struct error *err = NULL;
        if (p->mounts[i].volume || mount_source_check(p->mounts[i].source, &err) == 0)
            continue;
        if (error_kind(err) == ERROR_NOT_FOUND && is_made(r, p, &p->mounts[i]))
            continue;
        subject_add(r->check, s, .severity = FINDING_PROBLEM, .id = "mount-source",
                    .what = text_format("mount %s: %s", p->mounts[i].target, error_text(err)),
                    .why = "these logins are refused",
                    .mend = mend_mount(&p->mounts[i], error_kind(err) == ERROR_NOT_FOUND));
    }
}

/* A login goes by what berth.conf names, for it asks the engine as little as it can. */
static void look_at_runtime(const struct round *r, const struct known *k, const struct subject *s)
{
    const struct policy *p = s->policy;
    /* Podman may say where it is. */
    const char *slash = k->runtime ? strrchr(k->runtime, '/') : NULL;
    const char *name = slash ? slash + 1 : k->runtime;

    if (p->deny || !p->engine.socket || p->runtime || p->channel != CHANNEL_AUTO || !name ||
        name[0] == '\0' || policy_passes_sockets(name))
        return;
    subject_add(
        r->check, s, .severity = FINDING_NOTE, .id = "runtime-default",
        .what = text_format("the engine's default runtime is %s, and berth.conf names none",
                            k->runtime),
        .why = "channel = auto goes by berth.conf's runtime: where this one passes no sockets of "
               "this machine into containers, as runc does, these logins fail after a wait",
        .mend = text_format("channel = direct where it passes them, else attach"));
}

static void look_at(struct round *r, const struct subject *s)
{
    const char *socket = s->policy->engine.socket;
    struct known *k = known_for(r, s);
    struct stat st;

    if (!k) {
        r->check->findings.failed = true;
        return;
    }
    if (s->ours) {
        look_at_image(r, k, s);
        look_at_runtime(r, k, s);
        look_at_mounts(r, s);
    }
    if (!socket || stat(socket, &st) < 0 || (!s->by_shell && !s->forced && !s->in_engine_group))
        return;
    cleanup_string char *group = group_name(st.st_gid);
    if (group)
        look_at_access(r, s, &st, group);
}

void engines_look(const struct subjects *subjects, const struct stacks *stacks, struct check *check)
{
    struct round r = {.check = check, .subjects = subjects, .stacks = stacks};

    for (size_t i = 0; i < subjects->count; i++)
        if (subjects->items[i].policy)
            look_at(&r, &subjects->items[i]);
    for (size_t i = 0; i < r.count; i++) {
        engine_free(r.known[i].engine);
        free(r.known[i].endpoint);
        free(r.known[i].runtime);
        strings_free(&r.known[i].images);
    }
    free(r.known);
}
