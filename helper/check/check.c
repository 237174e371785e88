#include "config.h"

#include "check/check.h"

#include "check/doors.h"
#include "check/engines.h"
#include "check/host.h"
#include "check/modules.h"
#include "check/subject.h"
#include "policy/policy.h"

#include <string.h>

void check_add(struct check *check, enum severity severity, const char *id, char *what,
               const char *why, char *mend)
{
    const struct finding finding = {
        .severity = severity, .id = id, .what = what, .why = why, .mend = mend};

    findings_add(&check->findings, &finding, NULL);
}

/* What each of his logins would meet first. */
static void load_policy(struct subject *s, struct check *check)
{
    cleanup_error struct error *err = NULL;

    s->policy = policy_load(check->config, &s->person.account, &err);
    if (!s->policy)
        subject_add(check, s, .severity = FINDING_PROBLEM, .id = "configuration",
                    .what = text_format("%s", error_text(err)), .why = "these logins are refused",
                    .mend = text_format("%s", ""));
}

static void look_at_subject(struct subject *s, const struct stacks *stacks, struct check *check)
{
    if (strings_add(&check->seen, s->person.account.name) < 0)
        check->findings.failed = true;
    load_policy(s, check);
    s->by_shell = strcmp(s->person.shell, BERTH_SHELL) == 0;
    engines_meet(s);
    bool doors = doors_read(s, check);
    s->ours = s->named || s->by_shell || s->forced || s->in_engine_group;
    subject_look(s, check);
    if (doors)
        doors_look(s, check);
    if (stacks && (s->by_shell || s->forced))
        modules_look_for(stacks, s, check);
}

static void look_at_subjects(const struct stacks *stacks, struct check *check)
{
    struct subjects subjects;

    subjects_find(&subjects, check);
    for (size_t i = 0; i < subjects.count; i++)
        look_at_subject(&subjects.items[i], stacks, check);
    engines_look(&subjects, stacks, check);
    if (subjects.count == 0 && check->users->count == 0)
        check_add(check, FINDING_NOTE, "nobody",
                  text_format("berth.conf maps no account that NSS lists"),
                  "a directory (LDAP) may not list its accounts: name some",
                  text_format("berth check --user NAME"));
    subjects_free(&subjects);
}

void check_run(struct check *check)
{
    static char name[] = "root", home[] = "/root";
    const struct account root = {.name = name, .home = home};
    cleanup_error struct error *err = NULL;
    struct stacks stacks = {0};
    cleanup_policy struct policy *engine = policy_load_engine(check->config, &root, &check->each,
                                                              &err);

    if (!engine) {
        check_add(check, FINDING_PROBLEM, "configuration", text_format("%s", error_text(err)),
                  "all logins are refused; nothing else was looked at", text_format("%s", ""));
        return;
    }
    host_look(engine, check);
    bool has_stacks = modules_read(&stacks, check);
    if (has_stacks)
        modules_look(&stacks, check);
    look_at_subjects(has_stacks ? &stacks : NULL, check);
    stacks_free(&stacks);
    findings_sort(&check->findings);
}

void check_free(struct check *check)
{
    findings_free(&check->findings);
    strings_free(&check->seen);
}
