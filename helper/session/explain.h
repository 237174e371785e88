/* Why a login gets what it gets: the policy's values with their origins, and the
 * create body that they make. */
#ifndef BERTH_SESSION_EXPLAIN_H
#define BERTH_SESSION_EXPLAIN_H

#include "base/error.h"
#include "session/person.h"

#include <json-c/json_types.h>
#include <stdbool.h>
#include <stddef.h>

struct explained_value {
    char *text;    /* expanded */
    char *section; /* "engine", "defaults", "group", "user", or "" outside of any */
    char *title;   /* or NULL */
    unsigned line; /* 0: built-in */
};

struct explained_option {
    const char *name;
    bool list;
    struct explained_value *values; /* none: not set; of a list those that are left of it */
    size_t count;
};

struct explained_section {
    char *kind, *title;
    bool counts; /* no: a later one says inherit = no */
};

struct explanation {
    const struct account *account; /* borrowed */
    struct explained_option *options;
    size_t option_count;
    struct explained_section *sections;
    size_t section_count;
    bool mapped; /* else nothing below is there */
    struct policy *policy;
    /* Of a shell without a terminal; NULL where berth.conf denies the login. */
    struct json_object *body;
};

/* `account` must outlive it. Not to be mapped is no failure. Zeroed and filled here;
 * explanation_free frees it in any state. */
int explanation_make(struct explanation *e, const char *config, const struct account *account,
                     struct error **err);
void explanation_free(struct explanation *e);

#define cleanup_explanation __attribute__((cleanup(explanation_free)))

#endif
