/* What of a client's own sshd and berth.conf let into a container: his agent, his
 * display. */
#ifndef BERTH_CHECK_FORWARDS_H
#define BERTH_CHECK_FORWARDS_H

#include "check/subject.h"

/* `stacks` may be NULL: not known. */
void forwards_look(const struct subject *subject, const struct stacks *stacks, struct check *check);

#endif
