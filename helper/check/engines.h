/* The engine, or each user's own: whether it answers, has the images, and who else
 * can reach it. */
#ifndef BERTH_CHECK_ENGINES_H
#define BERTH_CHECK_ENGINES_H

#include "check/modules.h"
#include "check/subject.h"

/* Fills what the subject needs to be judged by (in_engine_group). */
void engines_meet(struct subject *subject);
/* `stacks` is NULL where it can't be had. */
void engines_look(const struct subjects *subjects, const struct stacks *stacks,
                  struct check *check);

#endif
