#include "config.h"

#include "session/explain.h"

#include "policy/option.h"
#include "session/creation.h"
#include "session/session.h"
#include "session/spec.h"

#include <errno.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TABLES = 3 };
static const struct option *const tables[TABLES] = {options_top, options_engine, options_session};

/* What the callbacks of the policy need. */
struct reading {
    struct explanation *e;
    const char *config;
    struct error *error; /* the first one */
};

static void value_clear(struct explained_value *value)
{
    free(value->text);
    free(value->section);
    free(value->title);
    *value = (struct explained_value){0};
}

/* As many entries as there are in all of a policy's lists. */
static size_t entries(const struct policy *p)
{
    return p->mount_count + p->tmpfs_count + p->device_count + p->ulimit_count + p->dns.count +
           p->cap_add.count + p->cap_drop.count + p->security_opt.count + p->labels.count +
           p->env.count + p->accept_env.count + p->commands.count + p->groups.count;
}

/* Two values of a list are for the same thing (a mount's target, a variable's name)
 * where together they make one entry. */
static bool same_entry(const struct reading *r, const struct option *option, const char *a,
                       const char *b)
{
    cleanup_error struct error *ignored = NULL;
    struct policy scratch = {0};
    bool same = option_apply(option, a, r->e->account, r->config, &scratch, &ignored) == 0 &&
                option_apply(option, b, r->e->account, r->config, &scratch, &ignored) == 0 &&
                entries(&scratch) == 1;

    policy_clear(&scratch);
    return same;
}

/* "%" stands for itself in what was expanded. */
static char *escape_percent(const char *s)
{
    struct text out = {0};

    for (; *s; s++) {
        text_add(&out, s, 1);
        if (*s == '%')
            text_add(&out, s, 1);
    }
    return text_take(&out);
}

/* A later entry takes an earlier one's place. */
static void drop_replaced(const struct reading *r, const struct option *option,
                          struct explained_option *o)
{
    cleanup_string char *last = option->plain ? strdup(o->values[o->count - 1].text)
                                              : escape_percent(o->values[o->count - 1].text);

    for (size_t i = 0; last && i + 1 < o->count; i++) {
        cleanup_string char *other = option->plain ? strdup(o->values[i].text)
                                                   : escape_percent(o->values[i].text);
        if (!other || !same_entry(r, option, other, last))
            continue;
        value_clear(&o->values[i]);
        memmove(&o->values[i], &o->values[i + 1], (o->count - i - 1) * sizeof *o->values);
        o->count--;
        return;
    }
}

static struct explained_option *option_of(struct explanation *e, const char *name)
{
    for (size_t i = 0; i < e->option_count; i++)
        if (strcmp(e->options[i].name, name) == 0)
            return &e->options[i];
    return NULL;
}

static const struct option *option_find(const char *name)
{
    for (size_t t = 0; t < TABLES; t++)
        for (const struct option *o = tables[t]; o->name; o++)
            if (strcmp(o->name, name) == 0)
                return o;
    return NULL;
}

static int value_fill(const struct reading *r, const struct option *option,
                      const struct policy_origin *origin, struct explained_value *value,
                      struct error **err)
{
    value->text = option->plain ? strdup(origin->value)
                                : expand(origin->value, r->e->account, option->place, err);
    value->section = strdup(origin->section);
    value->title = origin->title ? strdup(origin->title) : NULL;
    value->line = origin->line;
    if (!*err && (!value->text || !value->section || (origin->title && !value->title)))
        error_set(err, ENOMEM, "%s", option->name);
    return *err ? -1 : 0;
}

static void take_value(void *data, const struct policy_origin *origin)
{
    struct reading *r = data;
    struct explained_option *o = option_of(r->e, origin->option);
    const struct option *option = option_find(origin->option);

    if (!o || !option || r->error)
        return;
    struct explained_value *bigger = reallocarray(o->values, o->count + 1, sizeof *bigger);
    if (!bigger) {
        error_set(&r->error, ENOMEM, "%s", origin->option);
        return;
    }
    o->values = bigger;
    o->values[o->count] = (struct explained_value){0};
    struct explained_value *value = &o->values[o->count++];
    if (value_fill(r, option, origin, value, &r->error) < 0)
        return;
    if (origin->list)
        drop_replaced(r, option, o);
    else if (option->optional && value->text[0] == '\0')
        value_clear(&o->values[--o->count]);
}

static void take_section(void *data, const char *kind, const char *title, bool counts)
{
    struct reading *r = data;
    struct explanation *e = r->e;
    struct explained_section *bigger = reallocarray(e->sections, e->section_count + 1,
                                                    sizeof *bigger);

    if (bigger)
        e->sections = bigger;
    if (!bigger || r->error) {
        if (!r->error)
            error_set(&r->error, ENOMEM, "sections");
        return;
    }
    struct explained_section *section = &e->sections[e->section_count++];
    *section = (struct explained_section){
        .kind = strdup(kind), .title = strdup(title), .counts = counts};
    if (!section->kind || !section->title)
        error_set(&r->error, ENOMEM, "sections");
}

static size_t table_length(const struct option *table)
{
    size_t count = 0;

    while (table[count].name)
        count++;
    return count;
}

static int options_make(struct explanation *e, struct error **err)
{
    size_t count = 0;

    for (size_t t = 0; t < TABLES; t++)
        count += table_length(tables[t]);
    e->options = calloc(count, sizeof *e->options);
    if (!e->options)
        return error_set(err, ENOMEM, "options");
    for (size_t t = 0; t < TABLES; t++)
        for (const struct option *o = tables[t]; o->name; o++)
            /* Says how sections are put together, and is none of what comes of it. */
            if (strcmp(o->name, OPTION_INHERIT) != 0)
                e->options[e->option_count++] = (struct explained_option){.name = o->name,
                                                                          .list = o->list};
    return 0;
}

/* The session that a plain `ssh HOST` would be. */
static int body_make(struct explanation *e, struct error **err)
{
    char hash[SPEC_HASH_SIZE], connection[] = "192.0.2.7 50000 192.0.2.1 22";
    struct session s = {.policy = e->policy};
    struct spec_context context;

    s.request = (struct request){.account = *e->account,
                                 .kind = REQUEST_SHELL,
                                 .connection = connection,
                                 .client = "192.0.2.7",
                                 .port = "50000",
                                 .session = "0123456789abcdef"};
    if (session_plan(&s, err) < 0)
        return -1;
    context = (struct spec_context){
        .machine = s.machine, .local = s.target.socket != NULL, .key = s.key};
    if (s.direct || e->policy->scope != SCOPE_SESSION)
        e->body = creation_policy(&s, hash, err) < 0 ? NULL : creation_body(&s, hash, err);
    else
        e->body = spec_make(e->policy, &s.request, &context, err);
    return e->body ? 0 : -1;
}

static int policy_make(struct explanation *e, struct reading *r, struct error **err)
{
    e->policy = policy_load_traced(r->config, e->account, take_value, r, err);
    if (!e->policy)
        return -1;
    if (r->error) {
        *err = r->error;
        r->error = NULL;
        return -1;
    }
    return e->policy->deny ? 0 : body_make(e, err);
}

int explanation_make(struct explanation *e, const char *config, const struct account *account,
                     struct error **err)
{
    struct reading r = {.e = e, .config = config};

    *e = (struct explanation){.account = account};
    int rc = options_make(e, err);
    if (rc == 0)
        rc = policy_sections(config, account, take_section, &r, err);
    if (rc == 0 && r.error)
        rc = error_set(err, ENOMEM, "sections");
    e->mapped = rc == 0 && e->section_count > 0;
    if (e->mapped)
        rc = policy_make(e, &r, err);
    error_clear(&r.error);
    return rc;
}

void explanation_free(struct explanation *e)
{
    for (size_t i = 0; i < e->option_count; i++) {
        for (size_t j = 0; j < e->options[i].count; j++)
            value_clear(&e->options[i].values[j]);
        free(e->options[i].values);
    }
    for (size_t i = 0; i < e->section_count; i++) {
        free(e->sections[i].kind);
        free(e->sections[i].title);
    }
    free(e->options);
    free(e->sections);
    policy_free(e->policy);
    json_object_put(e->body);
    *e = (struct explanation){0};
}
