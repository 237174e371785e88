/* Forwarded TCP connections: whether sshd lets them, and whether they then end in a
 * container. */
#ifndef BERTH_CHECK_PORTS_H
#define BERTH_CHECK_PORTS_H

#include "check/subject.h"

/* `stacks` may be NULL: not known. */
void ports_look(const struct subject *subject, const struct stacks *stacks, struct check *check);

#endif
