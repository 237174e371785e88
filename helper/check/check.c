#include "config.h"

#include "check/check.h"

#include "check/doors.h"
#include "check/engines.h"
#include "check/files.h"
#include "check/host.h"
#include "check/modules.h"
#include "check/subject.h"
#include "policy/policy.h"
#include "session/nss_alarm.h"

#include <string.h>

void check_add(struct check *check, enum severity severity, const char *id, char *what,
               const char *why, char *mend)
{
    const struct finding finding = {
        .severity = severity, .id = id, .what = what, .why = why, .mend = mend};

    findings_add(&check->findings, &finding, NULL);
}

/* The error says where, and what of it. */
static char *mend_configuration(void)
{
    return text_format(
        "correct what is said, by berth.conf(5); berth explain USER shows the outcome");
}

/* What each of his logins would meet first. */
static void load_policy(struct subject *s, struct check *check)
{
    cleanup_error struct error *err = NULL;

    nss_alarm_on_check("account", s->person.account.name);
    s->policy = policy_load(check->config, &s->person.account, &err);
    nss_alarm_off();
    if (!s->policy)
        subject_add(check, s, .severity = FINDING_PROBLEM, .id = "configuration",
                    .what = text_format("%s", error_text(err)), .why = "these logins are refused",
                    .mend = mend_configuration());
}

static void look_at_subject(struct subject *s, const struct shared_files *files,
                            const struct stacks *stacks, struct check *check)
{
    if (strings_add(&check->seen, s->person.account.name) < 0)
        check->findings.failed = true;
    s->by_shell = strcmp(s->person.shell, BERTH_SHELL) == 0;
    if (s->unmapped) {
        if (doors_read(s, check) && s->forced)
            doors_look(s, stacks, check);
        return;
    }
    load_policy(s, check);
    engines_meet(s);
    bool doors = doors_read(s, check);
    s->ours = s->named || s->by_shell || s->forced || s->in_engine_group;
    subject_look(s, check);
    files_look_for(files, stacks, s, check);
    if (doors)
        doors_look(s, stacks, check);
    if (stacks && (s->by_shell || s->forced))
        modules_look_for(stacks, s, check);
}

static void look_at_subjects(const struct shared_files *files, const struct stacks *stacks,
                             struct check *check)
{
    struct subjects subjects;

    subjects_find(&subjects, check);
    for (size_t i = 0; i < subjects.count; i++)
        look_at_subject(&subjects.items[i], files, stacks, check);
    engines_look(&subjects, stacks, check);
    if (subjects.count == 0 && check->users->count == 0)
        check_add(check, FINDING_NOTE, "nobody",
                  text_format("berth.conf maps no account that NSS lists"),
                  "a directory (LDAP) may not list its accounts: name some",
                  text_format("berth check --user NAME"));
    subjects_free(&subjects);
}

/* What goes by no user's section, as this account has it. */
static struct policy *load_engine(struct check *check, char *name, char *home, uid_t id,
                                  struct error **err)
{
    const struct account account = {.name = name, .home = home, .uid = id, .gid = id};

    return policy_load_engine(check->config, &account, &check->each, err);
}

static void look_at_all(const struct policy *engine, const struct shared_files *files,
                        struct check *check)
{
    struct stacks stacks = {0};

    host_look(engine, check);
    files_look(files, check);
    bool has_stacks = modules_read(&stacks, check);
    if (has_stacks)
        modules_look(&stacks, check);
    look_at_subjects(files, has_stacks ? &stacks : NULL, check);
    stacks_free(&stacks);
}

void check_run(struct check *check)
{
    static char root[] = "root", roots[] = "/root", none[] = "none", nowhere[] = "/nonexistent";
    cleanup_error struct error *err = NULL;
    cleanup_policy struct policy *engine = load_engine(check, root, roots, 0, &err);
    cleanup_policy struct policy *other = engine ? load_engine(check, none, nowhere, 65534, &err)
                                                 : NULL;
    struct shared_files files;

    if (!other) {
        check_add(check, FINDING_PROBLEM, "configuration", text_format("%s", error_text(err)),
                  "all logins are refused; nothing else was looked at", mend_configuration());
        return;
    }
    files_share(&files, &engine->engine, &other->engine);
    look_at_all(engine, &files, check);
    findings_sort(&check->findings);
}

void check_free(struct check *check)
{
    findings_free(&check->findings);
    strings_free(&check->seen);
}
