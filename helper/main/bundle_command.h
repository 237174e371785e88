/* berth bundle: berth(8). */
#ifndef BERTH_MAIN_BUNDLE_COMMAND_H
#define BERTH_MAIN_BUNDLE_COMMAND_H

#include "base/error.h"

/* A subcommand's main: argv[0] is its name; the exit status. */
int bundle_command(int argc, char **argv);

/* Makes the bundle anew where there is one and the host's files have changed. 1: it was
 * made, 0: it needn't be. */
int bundle_refresh(struct error **err);

#endif
