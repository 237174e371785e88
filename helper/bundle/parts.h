/* What a program of the host's takes to run where nothing of the host is: its loader
 * and its libraries. */
#ifndef BERTH_BUNDLE_PARTS_H
#define BERTH_BUNDLE_PARTS_H

#include "base/error.h"
#include "base/text.h"

#include <stddef.h>

enum { PARTS_MAX = 64 };

enum loader {
    LOADER_NONE, /* it is static */
    LOADER_GLIBC,
    LOADER_OTHER, /* such as musl's */
};

struct part {
    char *name; /* in the bundle */
    char *path; /* on the host, no link on the way */
};

struct parts {
    enum loader loader;
    struct part items[PARTS_MAX]; /* the program, its loader (where it has one), libraries */
    size_t count;
};

#define PARTS_PROGRAM "sftp-server"
#define PARTS_LOADER  "ld.so"

/* All that `program` takes. Each must be a file of root's that only root can write, as
 * must its directories be: the loader is run, by root. */
int parts_find(struct parts *parts, const char *program, struct error **err);
void parts_free(struct parts *parts);

/* The libraries that a loader's --list names, as pairs of name and path:
 * "\tlibc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x00007f...)". The loader itself, which
 * stands there without a name, and what is the kernel's are left out. */
int parts_read_list(struct strings *pairs, const char *text, struct error **err);

/* PT_INTERP of an ELF file of this machine's kind; "" where there is none. The caller
 * frees it. */
char *parts_loader_of(int fd, struct error **err);

#endif
