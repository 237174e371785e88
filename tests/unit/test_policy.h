/* What the tests of berth.conf share. */
#ifndef BERTH_TEST_POLICY_H
#define BERTH_TEST_POLICY_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "policy/policy.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* No such folder, so that no test reads a file of the machine's by accident. */
#define CONF "/nonexistent/berth.conf"

static const struct account alice = {
    .name = (char *)"alice", .home = (char *)"/home/alice", .uid = 2001, .gid = 2002};

/* What `text` gives `account`, or NULL and the error. */
static inline struct policy *policy_try(const char *text, size_t len, const struct account *account,
                                        struct error **err)
{
    char *copy = malloc(len + 1);

    assert_non_null(copy);
    memcpy(copy, text, len + 1);
    struct policy *policy = policy_parse(CONF, copy, len, account, err);
    free(copy);
    return policy;
}

/* What `text` gives `account`; fails with the error where it gives nothing. */
static inline struct policy *policy_for(const char *text, const struct account *account)
{
    struct error *err = NULL;
    struct policy *policy = policy_try(text, strlen(text), account, &err);

    if (!policy)
        fail_msg("%s\ngave: %s", text, error_text(err));
    assert_null(err);
    return policy;
}

/* `text` is refused with exactly `expected`. */
static inline void assert_refused(const char *text, const struct account *account,
                                  const char *expected)
{
    struct error *err = NULL;
    struct policy *policy = policy_try(text, strlen(text), account, &err);

    if (policy)
        fail_msg("%s\nwas taken, not refused with: %s", text, expected);
    assert_string_equal(error_text(err), expected);
    error_clear(&err);
}

static inline void assert_strings(const struct strings *list, const char *expected)
{
    char seen[1024] = "";

    for (size_t i = 0; i < list->count; i++) {
        size_t used = strlen(seen);
        snprintf(seen + used, sizeof seen - used, "%s%s", i ? "|" : "", list->items[i]);
    }
    assert_string_equal(seen, expected);
    if (list->items)
        assert_null(list->items[list->count]);
}

#endif
