/* The `create` file's content. Apart from the rest of the policy, in a library of
 * its own: who makes no containers need not read JSON (the PAM module has its own
 * create_check, which takes anything). */
#ifndef BERTH_POLICY_CREATE_H
#define BERTH_POLICY_CREATE_H

#include "base/error.h"

#include <stddef.h>

/* `text`, NUL-terminated at `len`, must be one JSON object. */
int create_check(const char *text, size_t len, struct error **err);

#endif
