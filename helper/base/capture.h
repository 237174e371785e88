/* What another program prints. */
#ifndef BERTH_BASE_CAPTURE_H
#define BERTH_BASE_CAPTURE_H

#include "base/error.h"
#include "base/text.h"

/* Runs argv's first, a path, without an environment and with nothing on stdin, for ten
 * seconds and a MiB at most. Fails where it can't be run, or ends with anything but
 * 0: then with the first line that it said on stderr. */
int capture_run(const struct strings *argv, struct text *out, struct error **err);

#endif
