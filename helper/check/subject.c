#include "config.h"

#include "check/subject.h"

#include "session/nss_alarm.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { ACCOUNTS_MAX = 20000, SUBJECTS_MAX = 2000 };

/* All accounts that NSS lists, each "UID NAME". */
struct listing {
    struct strings names;
    uid_t *uids;
};

static void listing_free(struct listing *listing)
{
    strings_free(&listing->names);
    free(listing->uids);
}

static int listing_add(struct listing *listing, const struct passwd *entry)
{
    uid_t *bigger = reallocarray(listing->uids, listing->names.count + 1, sizeof *bigger);

    if (!bigger)
        return -1;
    listing->uids = bigger;
    bigger[listing->names.count] = entry->pw_uid;
    return strings_add(&listing->names, entry->pw_name);
}

static void list_accounts(struct listing *listing, struct check *check)
{
    const struct passwd *entry;

    nss_alarm_on_check("accounts", "*");
    setpwent();
    while (listing->names.count < ACCOUNTS_MAX && (entry = getpwent())) {
        if (listing_add(listing, entry) < 0)
            check->findings.failed = true;
        nss_alarm_on_check("accounts", "*");
    }
    endpwent();
    nss_alarm_off();
    if (listing->names.count >= ACCOUNTS_MAX)
        check_add(check, FINDING_NOTE, "accounts-many",
                  text_format("only the first %d accounts that NSS "
                              "lists were looked at",
                              ACCOUNTS_MAX),
                  "the others weren't", text_format("berth check --user NAME"));
}

struct mapping {
    bool mapped, named;
};

static void take_section(void *data, const char *kind, const char *title, bool counts)
{
    struct mapping *m = data;

    (void)kind;
    (void)counts;
    m->mapped = true;
    m->named = m->named || title[strspn(title, "*")] != '\0';
}

static bool is_in(const struct strings *groups, const char *group)
{
    for (size_t i = 0; i < groups->count; i++)
        if (strcmp(groups->items[i], group) == 0)
            return true;
    return false;
}

static char *find_twin(const struct listing *listing, const struct account *account)
{
    for (size_t i = 0; i < listing->names.count; i++)
        if (listing->uids[i] == account->uid && strcmp(listing->names.items[i], account->name) != 0)
            return strdup(listing->names.items[i]);
    return NULL;
}

static void add_unknown(struct check *check, const struct error *err, const char *user)
{
    const struct finding finding = {
        .severity = FINDING_PROBLEM,
        .id = "account-unknown",
        .what = text_format("%s", error_text(err)),
        .why = "his logins are refused",
        .mend = text_format("getent passwd USER: what NSS says of him")};

    findings_add(&check->findings, &finding, user);
}

/* Takes the person over, where he is one to be looked at. */
static void consider(struct subjects *subjects, struct check *check, const struct listing *listing,
                     struct person *person, bool asked)
{
    cleanup_error struct error *err = NULL;
    struct mapping m = {0};
    const struct account *account = &person->account;

    nss_alarm_on_check("account", account->name);
    int rc = policy_sections(check->config, account, take_section, &m, &err);
    nss_alarm_off();
    if (rc < 0)
        add_unknown(check, err, account->name);
    if (asked && !err && !m.mapped)
        findings_add(&check->findings,
                     &(struct finding){.severity = FINDING_PROBLEM,
                                       .id = "account-unmapped",
                                       .what = text_format("no user or group section of %s "
                                                           "matches",
                                                           check->config),
                                       .why = "his logins are refused",
                                       .mend = text_format("user \"%s\" { }", account->name)},
                     account->name);
    struct subject subject = {.person = *person, .named = asked || m.named, .unmapped = !m.mapped};
    /* A catch-all isn't meant for those that never log in, nor for root. */
    bool meant = m.mapped ? subject.named || !(subject_is_shut(&subject) || account->uid == 0)
                          : rc == 0 && is_in(&person->groups, BERTH_GROUP);
    struct subject *bigger = meant ? reallocarray(subjects->items, subjects->count + 1,
                                                  sizeof subject)
                                   : NULL;
    if (!bigger) {
        check->findings.failed = check->findings.failed || meant;
        person_free(person);
        return;
    }
    subjects->items = bigger;
    subject.twin = find_twin(listing, account);
    bigger[subjects->count++] = subject;
    *person = (struct person){0};
}

static void consider_name(struct subjects *subjects, struct check *check,
                          const struct listing *listing, const char *name, bool asked)
{
    cleanup_error struct error *err = NULL;
    struct person person;

    nss_alarm_on_check("account", name);
    int rc = person_find(&person, name, &err);
    nss_alarm_off();
    if (rc == 0) {
        person.account.groups = &person.groups;
        consider(subjects, check, listing, &person, asked);
        return;
    }
    person_free(&person);
    add_unknown(check, err, name);
}

void subjects_find(struct subjects *subjects, struct check *check)
{
    const bool asked = check->users->count > 0;
    struct listing listing = {0};

    *subjects = (struct subjects){0};
    list_accounts(&listing, check);
    const struct strings *names = asked ? check->users : &listing.names;
    for (size_t i = 0; i < names->count && subjects->count < SUBJECTS_MAX; i++)
        consider_name(subjects, check, &listing, names->items[i], asked);
    if (subjects->count >= SUBJECTS_MAX)
        check_add(check, FINDING_NOTE, "accounts-many",
                  text_format("only the first %d users were looked at", SUBJECTS_MAX),
                  "the others weren't", text_format("berth check --user NAME"));
    /* They have moved while the array grew. */
    for (size_t i = 0; i < subjects->count; i++)
        subjects->items[i].person.account.groups = &subjects->items[i].person.groups;
    listing_free(&listing);
}

void subjects_free(struct subjects *subjects)
{
    for (size_t i = 0; i < subjects->count; i++) {
        person_free(&subjects->items[i].person);
        policy_free(subjects->items[i].policy);
        sshd_free(&subjects->items[i].sshd);
        free(subjects->items[i].twin);
    }
    free(subjects->items);
    *subjects = (struct subjects){0};
}

bool subject_is_shut(const struct subject *subject)
{
    static const char *const shut[] = {"nologin", "false", "sync", "true", NULL};
    const char *slash = strrchr(subject->person.shell, '/');
    const char *name = slash ? slash + 1 : subject->person.shell;

    for (const char *const *s = shut; *s; s++)
        if (strcmp(name, *s) == 0)
            return true;
    return false;
}

static bool in_group(const struct strings *groups, gid_t gid)
{
    nss_alarm_on_check("group", "of a home");
    const struct group *group = getgrgid(gid);
    nss_alarm_off();

    return group && is_in(groups, group->gr_name);
}

/* Its owner can make it writable. */
static bool may_write(const struct person *person, const char *path)
{
    struct stat st;

    if (stat(path, &st) < 0)
        return false;
    return st.st_uid == person->account.uid || st.st_mode & S_IWOTH ||
           (st.st_mode & S_IWGRP && in_group(&person->groups, st.st_gid));
}

/* One of them is the other or lies in it. */
static bool overlap(const char *a, const char *b)
{
    size_t la = strlen(a), lb = strlen(b), len = la < lb ? la : lb;

    while (len > 1 && a[len - 1] == '/' && b[len - 1] == '/')
        len--;
    return strncmp(a, b, len) == 0 &&
           (len == 1 || ((a[len] == '\0' || a[len] == '/') && (b[len] == '\0' || b[len] == '/')));
}

static bool shows_home(const struct policy *policy, const char *home)
{
    if (!policy || home[0] != '/')
        return false;
    if (policy->home && policy->home[0] == '/' && overlap(policy->home, home))
        return true;
    for (size_t i = 0; i < policy->mount_count; i++) {
        const struct mount *m = &policy->mounts[i];
        if (!m->volume && !m->read_only && overlap(m->source, home))
            return true;
    }
    return false;
}

static void look_at_shell(const struct subject *s, struct check *check)
{
    if (s->by_shell || !s->ours)
        return;
    if (subject_is_shut(s)) {
        subject_add(check, s, .severity = FINDING_PROBLEM, .id = "shell-shut",
                    .what = text_format("the login shell is %s", s->person.shell),
                    .why = "sshd starts ForceCommand by the login shell: these logins end at once",
                    .mend = text_format("usermod -s %s USER", BERTH_SHELL));
        return;
    }
    if (s->forced)
        subject_add(
            check, s, .severity = FINDING_PROBLEM, .id = "shell-other",
            .what = text_format("the login shell is %s, not %s", s->person.shell, BERTH_SHELL),
            .why = "ForceCommand is then the only lock: whatever runs without it (su, cron, "
                   "another sshd, a Match that misses) has a shell of this machine",
            .mend = text_format("usermod -s %s USER", BERTH_SHELL));
}

void subject_look(struct subject *s, struct check *check)
{
    const char *home = s->person.account.home;

    s->home_is_his = may_write(&s->person, home);
    s->mounts_home = shows_home(s->policy, home);
    look_at_shell(s, check);
    if (s->home_is_his && (s->by_shell || s->forced))
        subject_add(
            check, s, .severity = FINDING_NOTE, .id = "home-writable",
            .what = text_format("%s", s->mounts_home
                                          ? "the home directory on this machine is the user's to "
                                            "write, and his container shows it"
                                          : "the home directory on this machine is the user's to "
                                            "write"),
            .why = "what is in it is read on this machine by whatever runs here as him: "
                   "pam_env, systemd --user, cron, a login shell; see the other findings",
            .mend = text_format("chown root: HOME; home = \"/srv/homes/%%u\" in berth.conf "
                                "gives him files of his own in the container"));
}
