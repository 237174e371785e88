#include "config.h"

#include "check/finding.h"

#include <stdlib.h>
#include <string.h>

static struct finding *find(struct findings *findings, const struct finding *wanted)
{
    for (size_t i = 0; i < findings->count; i++) {
        struct finding *f = &findings->items[i];
        if (strcmp(f->id, wanted->id) == 0 && f->severity == wanted->severity &&
            strcmp(f->what, wanted->what) == 0)
            return f;
    }
    return NULL;
}

static struct finding *append(struct findings *findings, const struct finding *finding)
{
    struct finding *bigger = reallocarray(findings->items, findings->count + 1, sizeof *bigger);

    if (!bigger)
        return NULL;
    findings->items = bigger;
    bigger[findings->count] = *finding;
    bigger[findings->count].users = (struct strings){0};
    return &bigger[findings->count++];
}

static bool has_user(const struct finding *finding, const char *user)
{
    size_t count = finding->users.count;

    /* Users come one after the other. */
    return count > 0 && strcmp(finding->users.items[count - 1], user) == 0;
}

void findings_add(struct findings *findings, const struct finding *finding, const char *user)
{
    struct finding *f = finding->what && finding->mend ? find(findings, finding) : NULL;
    bool known = f != NULL;

    if (!known && finding->what && finding->mend)
        f = append(findings, finding);
    if (!f || known) {
        free(finding->what);
        free(finding->mend);
    }
    if (!f || (user && !has_user(f, user) && strings_add(&f->users, user) < 0))
        findings->failed = true;
}

/* Stable, which qsort(3) isn't. */
void findings_sort(struct findings *findings)
{
    for (size_t i = 1; i < findings->count; i++) {
        struct finding f = findings->items[i];
        size_t j = i;
        for (; j > 0 && findings->items[j - 1].severity < f.severity; j--)
            findings->items[j] = findings->items[j - 1];
        findings->items[j] = f;
    }
}

size_t findings_counted(const struct findings *findings, enum severity severity)
{
    size_t count = 0;

    for (size_t i = 0; i < findings->count; i++)
        count += findings->items[i].severity == severity;
    return count;
}

const char *finding_severity_name(enum severity severity)
{
    static const char *const names[] = {"note", "problem", "hole"};

    return names[severity];
}

void findings_free(struct findings *findings)
{
    for (size_t i = 0; i < findings->count; i++) {
        free(findings->items[i].what);
        free(findings->items[i].mend);
        strings_free(&findings->items[i].users);
    }
    free(findings->items);
    *findings = (struct findings){0};
}
