/* Which modules the system's user database (NSS) goes by: nsswitch.conf(5). */
#ifndef BERTH_CHECK_NSSWITCH_H
#define BERTH_CHECK_NSSWITCH_H

#include "base/text.h"

/* Adds to `modules` those of a database's lines in `text` that aren't known to go by
 * files and unix sockets alone, and so may open network connections of their own. -1
 * when memory ran out. */
int nsswitch_find_foreign(struct strings *modules, const char *text, const char *database);

#endif
