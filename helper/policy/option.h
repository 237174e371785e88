/* The table of berth.conf's options: what each may hold and where in the policy
 * it goes. The configuration file and the merge both go by it. */
#ifndef BERTH_POLICY_OPTION_H
#define BERTH_POLICY_OPTION_H

#include "base/error.h"
#include "policy/expand.h"
#include "policy/policy.h"

#include <stdbool.h>
#include <stddef.h>

struct option {
    const char *name;
    /* Checks one value, expanded, and puts it into the policy: over what is there,
     * or, for a list, after it. */
    int (*apply)(const struct option *option, struct policy *policy, const char *value,
                 struct error **err);
    int (*check)(const char *value, struct error **err); /* for some `apply` */
    const char *builtin; /* what holds where nobody says it; a list's, between blanks */
    unsigned offset;     /* of the policy's field, for some `apply` */
    enum expand_place place;
    bool list;
    bool plain;    /* "%" means nothing in it */
    bool lines;    /* may have newlines and tabs */
    bool optional; /* "" takes back what was said before */
    bool file;     /* names a file beside the configuration file, which is read */
};

/* Each ends with an entry whose name is NULL. */
extern const struct option options_top[];     /* outside of any section */
extern const struct option options_engine[];  /* engine */
extern const struct option options_session[]; /* defaults, group and user */

/* Of a section itself: "no" leaves out what stands before it. */
#define OPTION_INHERIT "inherit"

/* Expands and applies one value. `config` is the configuration file's path, for
 * options that name a file. Errors say what is wrong with the value, not which
 * value it is. */
int option_apply(const struct option *option, const char *value, const struct account *account,
                 const char *config, struct policy *policy, struct error **err);

/* The same for a login that could be anybody's, as far as it can be told: the
 * value's syntax, and its file where the name has no "%". */
int option_check(const struct option *option, const char *value, const char *config,
                 struct error **err);

/* Frees what the policy owns, not the policy. */
void policy_clear(struct policy *policy);

#endif
