/* What `berth check` has found. */
#ifndef BERTH_CHECK_FINDING_H
#define BERTH_CHECK_FINDING_H

#include "base/text.h"

#include <stdbool.h>
#include <stddef.h>

enum severity {
    FINDING_NOTE,    /* to be known; nothing is wrong */
    FINDING_PROBLEM, /* something doesn't work, or one lock of two is missing */
    FINDING_HOLE,    /* somebody gets more than berth.conf says */
};

struct finding {
    enum severity severity;
    const char *id;       /* "sshd-tcp-forwarding": stays the same over releases */
    char *what;           /* what was seen, and where */
    const char *why;      /* why it matters; "" where `what` says it */
    char *mend;           /* the line that mends it; "" where there is none */
    struct strings users; /* whom it concerns; none: the machine */
};

/* Zeroed is empty. */
struct findings {
    struct finding *items;
    size_t count;
    bool failed; /* memory ran out: something is missing */
};

/* Takes what and mend, which text_format() made. The same `id` and `what` again adds
 * the user (or NULL) to it. */
void findings_add(struct findings *findings, const struct finding *finding, const char *user);
/* The worst first, and else in the order of finding. */
void findings_sort(struct findings *findings);
size_t findings_counted(const struct findings *findings, enum severity severity);
/* "hole", "problem", "note". */
const char *finding_severity_name(enum severity severity);
void findings_free(struct findings *findings);

#endif
