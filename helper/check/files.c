#include "config.h"

#include "check/files.h"

#include "base/file.h"
#include "policy/groups.h"
#include "session/guise.h"
#include "session/nss_alarm.h"

#include <errno.h>
#include <grp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FILE_MOST = 1024 * 1024 };

static const struct {
    const char *option, *id;
    enum trust trust;
    const char *worth; /* of a secret */
    const char *why;   /* it matters that it can't be read */
} kinds[] = {
    [FILES_CA] = {"tls_ca", "tls-file", TRUST_PUBLIC, NULL, "logins are refused"},
    [FILES_CERT] = {"tls_cert", "tls-file", TRUST_PUBLIC, NULL, "logins are refused"},
    [FILES_KEY] = {"tls_key", "tls-file", TRUST_SECRET,
                   "it is worth the engine, which is root; logins are refused meanwhile",
                   "logins are refused"},
    [FILES_REGISTRY] = {"registry_config", "registry-file", TRUST_SECRET,
                        "it is worth the registry's account; no image is pulled meanwhile",
                        "no image is pulled: logins that need one are refused"},
};

/* All groups of his sessions. */
struct membership {
    bool known;
    gid_t *gids;
    size_t count;
};

static const char *path_of(const struct engine_config *engine, enum files file)
{
    const char *const paths[] = {[FILES_CA] = engine->tls_ca,
                                 [FILES_CERT] = engine->tls_cert,
                                 [FILES_KEY] = engine->tls_key,
                                 [FILES_REGISTRY] = engine->registry_config};

    return paths[file];
}

void files_share(struct shared_files *shared, const struct engine_config *one,
                 const struct engine_config *other)
{
    for (enum files f = 0; f < FILES_COUNT; f++) {
        const char *path = path_of(one, f), *others = path_of(other, f);
        shared->paths[f] = path && others && strcmp(path, others) == 0 ? path : NULL;
    }
}

/* A session's own rule. */
static int look(enum files file, const char *path, struct error **err)
{
    cleanup_fd int fd = file_open_trusted(path, kinds[file].trust, FILE_MOST, err);

    return fd < 0 ? -1 : 0;
}

/* Somebody may have it, not just nobody. */
static bool is_exposed(enum files file, const char *path)
{
    struct stat st;

    return kinds[file].trust == TRUST_SECRET && lstat(path, &st) == 0 && S_ISREG(st.st_mode) &&
           (st.st_uid != 0 || st.st_mode & (S_IROTH | S_IWGRP | S_IWOTH));
}

static char *mend_trust(enum files file, const char *path)
{
    if (access(path, F_OK) < 0)
        return text_format("install -o root -m %s FILE %s",
                           kinds[file].trust == TRUST_SECRET ? "0640" : "0644", path);
    return text_format("chown root %s && chmod %s %s", path,
                       kinds[file].trust == TRUST_SECRET ? "0640" : "0644", path);
}

static char *mend_access(enum files file, const char *path)
{
    if (kinds[file].trust == TRUST_PUBLIC)
        return text_format("chmod 0644 %s; its directories must let these users through", path);
    return text_format("chgrp GROUP %s && chmod 0640 %s, a GROUP that these users' sessions have; "
                       "its directories must let them through",
                       path, path);
}

/* Takes mend. */
static void add(struct check *check, enum files file, const struct error *err, bool exposed,
                char *mend, const char *user)
{
    const struct finding finding = {
        .severity = exposed ? FINDING_HOLE : FINDING_PROBLEM,
        .id = exposed ? "secret" : kinds[file].id,
        .what = text_format("%s: %s", kinds[file].option, error_text(err)),
        .why = exposed ? kinds[file].worth : kinds[file].why,
        .mend = mend};

    findings_add(&check->findings, &finding, user);
}

void files_look(const struct shared_files *shared, struct check *check)
{
    for (enum files f = 0; f < FILES_COUNT; f++) {
        cleanup_error struct error *err = NULL;
        const char *path = shared->paths[f];
        if (path && look(f, path, &err) < 0)
            add(check, f, err, is_exposed(f, path), mend_trust(f, path), NULL);
    }
}

/* Whether a session of his gets as far as to read it. */
static bool is_read(const struct subject *s, enum files file)
{
    return s->ours && !s->policy->deny && (file != FILES_REGISTRY || s->policy->pull != PULL_NEVER);
}

static int membership_add(struct membership *m, const char *name)
{
    const struct group *group = getgrnam(name);
    gid_t *bigger;

    /* pam_berth passes over both, too. */
    if (!group || group->gr_gid == 0)
        return 0;
    bigger = reallocarray(m->gids, m->count + 1, sizeof *bigger);
    if (!bigger)
        return -1;
    m->gids = bigger;
    bigger[m->count++] = group->gr_gid;
    return 0;
}

static int membership_read(struct membership *m, const struct subject *s,
                           const struct stacks *stacks, struct error **err)
{
    const char *granted = s->by_shell ? modules_granted(stacks) : NULL;
    int count = groups_ids(&s->person.account, &m->gids, err);

    if (count < 0)
        return -1;
    m->count = (size_t)count;
    while (granted && *granted) {
        size_t len = strcspn(granted, ",");
        cleanup_string char *name = strndup(granted, len);
        if (!name || membership_add(m, name) < 0)
            return error_set(err, ENOMEM, "groups of %s", s->person.account.name);
        granted += len + (granted[len] == ',');
    }
    m->known = true;
    return 0;
}

/* As his session would. */
static int look_as(const struct subject *s, const struct membership *m, enum files file,
                   const char *path, struct error **err)
{
    struct guise before;
    int rc = guise_take_login(&before, &s->person.account, m->gids, m->count, err);

    if (rc == 0)
        rc = look(file, path, err);
    guise_drop(&before);
    return rc;
}

/* Whether there is more to be said of it. */
static bool look_at_own(const struct shared_files *shared, const struct subject *s, enum files file,
                        struct check *check)
{
    cleanup_error struct error *err = NULL;
    const char *path = path_of(&s->policy->engine, file);

    if (!path)
        return false;
    if (look(file, path, &err) == 0)
        return is_read(s, file);
    bool exposed = is_exposed(file, path);
    if (!shared->paths[file] && (exposed || is_read(s, file)))
        add(check, file, err, exposed, mend_trust(file, path), s->person.account.name);
    return false;
}

void files_look_for(const struct shared_files *shared, const struct stacks *stacks,
                    const struct subject *s, struct check *check)
{
    struct membership m = {0};

    for (enum files f = 0; s->policy && f < FILES_COUNT; f++) {
        cleanup_error struct error *err = NULL;
        const char *path = path_of(&s->policy->engine, f);
        /* What the stack would give him isn't known where there is none. */
        if (!look_at_own(shared, s, f, check) || (s->by_shell && !stacks))
            continue;
        nss_alarm_on_check("account", s->person.account.name);
        bool known = m.known || membership_read(&m, s, stacks, &err) == 0;
        nss_alarm_off();
        if (!known || look_as(s, &m, f, path, &err) < 0)
            add(check, f, err, false, mend_access(f, path), s->person.account.name);
        if (!known)
            break;
    }
    free(m.gids);
}
