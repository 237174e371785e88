/* Which shell a session gets, by the container's own files: all hostile. */
#ifndef BERTH_GUEST_SHELL_H
#define BERTH_GUEST_SHELL_H

#include "base/text.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

enum { SHELL_PASSWD_MAX = 1024 * 1024 };

/* The shell of `uid`'s first line in a passwd file's text, which need not end or
 * be one: absolute, allocated; NULL where there is none. */
char *shell_of_passwd(const char *text, size_t len, uid_t uid);

/* Whether /etc/passwd has a line for it. As shell_candidates, never in PID 1. */
bool shell_has_account(uid_t uid);

/* START's shell where it names one, else those that start.h lists: the first that can
 * be run is the one. -1 when memory ran out. May wait for a file system, as
 * shell_can_run may: never call them in PID 1. */
int shell_candidates(struct strings *shells, const char *wanted);
bool shell_can_run(const char *path);

#endif
