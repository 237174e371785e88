/* START's payload: all that a session is, but its bytes. In this order:
 *
 *   u8     kind: enum start_kind
 *   u8     1 with a terminal, else 0
 *   string shell: absolute path, or "" for auto: that of the guest's uid in the
 *          container's /etc/passwd where it can be run and is no nologin or
 *          false, else /bin/bash, else /bin/sh
 *   string working directory, or "" for the guest's own
 *   u16    umask, at most 0777
 *   list   argv: START_LOGIN none, START_COMMAND one (for SHELL -c),
 *          START_PROGRAM the arguments from argv[1] on
 *   list   programs: START_PROGRAM's absolute paths, the first that can be run is
 *          (1 to START_PROGRAMS_MAX); else none
 *   string what to tell the user where none can, "" but with START_PROGRAM
 *   list   environment: NAME=value, over the guest's own
 *   with a terminal:
 *     u16 rows, u16 columns
 *     u32 c_iflag, c_oflag, c_cflag, c_lflag; u32 input and output speed (bits a
 *     second); u8 count of c_cc, at most START_CC_MAX, and the c_cc (termios(3),
 *     Linux's numbers) */
#ifndef BERTH_PROTOCOL_START_H
#define BERTH_PROTOCOL_START_H

#include "base/text.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/ioctl.h>
#include <termios.h>

enum start_kind {
    START_LOGIN = 1,   /* a login shell: argv[0] is "-bash" */
    START_COMMAND = 2, /* SHELL -c COMMAND */
    START_PROGRAM = 3, /* one of some programs, such as sftp-server: they need an account, so
                        * the guest's uid must have a line in /etc/passwd */
    /* SHELL -c ":", which is no session of LISTEN's: what a shell needs of the image is
     * then in memory when the session comes. argv and programs as with START_LOGIN. */
    START_WARM = 4,
};

enum { START_PROGRAMS_MAX = 16, START_CC_MAX = 32 };

struct start {
    enum start_kind kind;
    bool tty;
    char *shell; /* never NULL */
    char *cwd;   /* never NULL */
    unsigned umask;
    struct strings argv, programs;
    char *missing; /* never NULL */
    struct strings env;
    struct winsize window;  /* rows and columns alone */
    struct termios termios; /* where tty */
};

/* Appends the payload to `payload`. Refused, -1: what would break a bound of
 * message.h; *why is then a constant string. */
int start_write(struct text *payload, const struct start *start, const char **why);

/* Reads a payload; strings are copied. -1 with *why (a constant string) for what
 * is malformed or when memory runs out; `start` is then empty. */
int start_read(struct start *start, const char *payload, size_t len, const char **why);

/* Frees what it owns and zeroes it. */
void start_clear(struct start *start);

#endif
