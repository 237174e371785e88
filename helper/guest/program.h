/* What a session runs, seen from its own process: from fork to execve. */
#ifndef BERTH_GUEST_PROGRAM_H
#define BERTH_GUEST_PROGRAM_H

#include "protocol/start.h"

#include <sys/resource.h>

struct program {
    const struct start *start;
    int fds[3];          /* stdin, stdout, stderr; with a terminal its slave, three times */
    int report;          /* a pipe's end: takes why it can't, closes by execve */
    struct rlimit files; /* RLIMIT_NOFILE as the container's runtime set it */
    char **environment;  /* the container's */
};

enum { PROGRAM_FAILED = 127 };

/* In a fresh child: becomes the session's leader and runs its program. Where it
 * can't it writes one text for ERROR, at most MESSAGE_ERROR_MAX bytes in one piece
 * (PIPE_BUF), and exits. */
_Noreturn void program_run(const struct program *program);

/* The environment: `base`, START's over it, SHELL (where there is a shell and
 * START has none) and PATH (where neither has one). -1 when memory ran out. */
int program_environment(struct strings *env, char **base, const struct strings *over,
                        const char *shell);

#endif
