/* One session from start to end. */
#ifndef BERTH_SESSION_SESSION_H
#define BERTH_SESSION_SESSION_H

#include "base/text.h"

/* Runs the session that sshd's environment `env` (taken over) and descriptors
 * 0, 1, 2 describe, as `config` allows. Returns the exit status. The caller has
 * cleared the environment and opened the log. */
int session_run(const char *config, struct strings *env);

#endif
