/* What sshd lets a user do besides the forced command. */
#ifndef BERTH_CHECK_DOORS_H
#define BERTH_CHECK_DOORS_H

#include "check/subject.h"

/* Reads his settings: false where they can't be had, which is then a finding. */
bool doors_read(struct subject *subject, struct check *check);
/* By these settings; `stacks` of PAM may be NULL: not known. */
void doors_look(const struct subject *subject, const struct stacks *stacks, struct check *check);

#endif
