/* Files into a directory that containers see. */
#ifndef BERTH_BUNDLE_COPY_H
#define BERTH_BUNDLE_COPY_H

#include "base/error.h"

#include <sys/stat.h>

/* Copies the file `path`, which was checked, to a new file `name` in `dir`, and waits
 * until it is on the disk. *from is what was copied. */
int copy_file(const char *path, int dir, const char *name, mode_t mode, struct stat *from,
              struct error **err);

/* The same for text. */
int copy_text(const char *text, int dir, const char *name, mode_t mode, struct error **err);

/* Removes directory `name` in `dir` and the files in it. */
int copy_remove(int dir, const char *name);

#endif
