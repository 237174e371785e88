/* What another program prints. */
#ifndef BERTH_CHECK_CAPTURE_H
#define BERTH_CHECK_CAPTURE_H

#include "base/error.h"
#include "base/text.h"

/* Runs argv[0], a path, without an environment and with nothing on stdin, for ten
 * seconds and a MiB at most. Fails where it can't be run, or ends with anything but
 * 0: then with the last line that it said on stderr. */
int capture_run(char *const argv[], struct text *out, struct error **err);

#endif
