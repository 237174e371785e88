/* `berth check`: whether the machine around berth is as SECURITY.md wants it. */
#ifndef BERTH_CHECK_CHECK_H
#define BERTH_CHECK_CHECK_H

#include "base/text.h"
#include "check/finding.h"

struct check {
    const char *config;          /* berth.conf */
    const char *sshd_config;     /* NULL: sshd's own */
    const char *pam_dir;         /* where the stacks are */
    const struct strings *users; /* whom to look at; none: all that NSS lists and berth.conf maps */

    bool each; /* filled here: each user may have an engine of his own */
    struct findings findings;
    struct strings seen; /* who was looked at */
};

/* As root. What it can't find out is a finding, too. */
void check_run(struct check *check);
void check_free(struct check *check);

/* A finding about the machine, not about some users. Takes what and mend. */
void check_add(struct check *check, enum severity severity, const char *id, char *what,
               const char *why, char *mend);

#endif
