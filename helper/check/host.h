/* What berth itself needs of the machine: its programs, its runtime directory. */
#ifndef BERTH_CHECK_HOST_H
#define BERTH_CHECK_HOST_H

#include "check/check.h"
#include "policy/policy.h"

void host_look(const struct policy *engine, struct check *check);

#endif
