/* Names that share a uid, in a file like passwd(5)'s. */
#ifndef BERTH_SESSION_TWIN_H
#define BERTH_SESSION_TWIN_H

#include "base/error.h"
#include "policy/policy.h"

/* *name becomes the first of the file's names that has the account's uid and isn't the
 * account's, the caller's to free; NULL: there is none, or no such file. What counts is
 * what fgetpwent(3) would find, but for the "+" and "-" lines of NIS, which are nobody's
 * name. */
int twin_find(const char *path, const struct account *account, char **name, struct error **err);

#endif
