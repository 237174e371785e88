/* Files of a container, running or not, as the engine hands them out and takes them:
 * in a tar archive (Docker Engine API, "containers/{id}/archive"; pax(1) of POSIX.1-2017
 * has the format). What is mounted in the container is seen in place of its own files. */
#ifndef BERTH_ENGINE_ARCHIVE_H
#define BERTH_ENGINE_ARCHIVE_H

#include "base/text.h"
#include "engine/engine.h"

enum archive_type { ARCHIVE_NONE, ARCHIVE_FILE, ARCHIVE_FOLDER, ARCHIVE_LINK, ARCHIVE_OTHER };

enum { ARCHIVE_LINK_SIZE = 101 };

struct archive_entry {
    enum archive_type type;
    unsigned mode;                /* permissions */
    char link[ARCHIVE_LINK_SIZE]; /* where a symbolic link leads to; "" where that is longer */
    struct text content;          /* of a file, where it was asked for; the caller frees it */
};

/* What is at `path`, no link followed in its last part; ARCHIVE_NONE where nothing is.
 * `most`: so many bytes a file may have, whose content is read; 0: nobody wants it. */
int archive_read(struct engine *engine, const char *container, const char *path, size_t most,
                 struct archive_entry *entry, struct error **err);

/* The reading of it, piece by piece as it comes. */
struct archive_reading {
    struct archive_entry *entry;
    size_t most;      /* as above */
    struct text head; /* of the header's block, so far; the caller frees it */
    size_t skip;      /* bytes of an extended header that are still to come */
    size_t left;      /* of the file's content */
    bool found;       /* the entry's own header was read */
    const char *why;  /* it can't be read, or NULL */
};
/* -1: nothing more is wanted. The entry is there where it was found and nothing is left. */
int archive_take(struct archive_reading *reading, const char *bytes, size_t len);

/* An archive to be sent: each call adds an entry, whose path begins without "/" and is
 * shorter than 100 bytes. */
struct archive_owner {
    unsigned uid, gid;
};
void archive_add_file(struct text *archive, const char *path, const struct text *content);
void archive_add_folder(struct text *archive, const char *path, unsigned mode,
                        const struct archive_owner *owner);
/* Ends it and puts its entries into the container's root; folders that are missing on
 * the way are made. Refused by the engine with ReadonlyRootfs. */
int archive_write(struct engine *engine, const char *container, struct text *archive,
                  struct error **err);

#endif
