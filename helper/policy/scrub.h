/* What must be right about berth.conf's text before libconfuse may see it. */
#ifndef BERTH_POLICY_SCRUB_H
#define BERTH_POLICY_SCRUB_H

#include "base/error.h"

#include <stddef.h>

/* Overwrites comments with blanks, for libconfuse 3.3 counts a line of comment
 * as three, and refuses what libconfuse takes silently or gives no good error
 * for: bytes that aren't text, ${VAR}, strings, comments and braces without an
 * end, escapes other than \" \\ \$ \n \t and a line's end, stray characters. `data`
 * has `len` bytes; errors begin with "path:LINE: ". */
int scrub_text(const char *path, char *data, size_t len, struct error **err);

#endif
