/* Pieces of script for the /bin/sh of a container in which an exec runs a session:
 * what the engine's exec lacks. */
#ifndef BERTH_CHANNEL_EXEC_SCRIPT_H
#define BERTH_CHANNEL_EXEC_SCRIPT_H

#include "base/text.h"

#include <sys/types.h>

/* All three add to `argv`; -1 when memory ran out. */

/* Says the pid of the process, a line, on stdout, takes a line from stdin, and
 * becomes `command`; without that line it ends. */
int exec_script_start(struct strings *argv, const struct strings *command);
/* Sends a signal to the process group of `leader`. */
int exec_script_signal(struct strings *argv, pid_t leader, int signal);
/* SIGHUP for all of the session that `leader` leads, and after `grace` seconds
 * SIGKILL for what is left of it: background jobs have process groups of their
 * own. Then it says a line, and nothing before. */
int exec_script_hang_up(struct strings *argv, pid_t leader, long long grace);

#endif
