/* What the PAM stack of sshd does to berth's logins. */
#ifndef BERTH_CHECK_MODULES_H
#define BERTH_CHECK_MODULES_H

#include "check/subject.h"

/* Reads the stack: false where it can't be had, which is then a finding. */
bool modules_read(struct stacks *stacks, struct check *check);
/* What holds for all. */
void modules_look(const struct stacks *stacks, struct check *check);
/* What depends on the user. */
void modules_look_for(const struct stacks *stacks, const struct subject *subject,
                      struct check *check);

/* Whether pam_berth has its turn in this stack. */
bool modules_has_berth(const struct stacks *stacks, enum stack_type type);
/* Which groups it is to grant, "docker,berth-secrets"; NULL: none. */
const char *modules_granted(const struct stacks *stacks);
/* Whether that is one of them. */
bool modules_grants(const struct stacks *stacks, const char *group);

#endif
