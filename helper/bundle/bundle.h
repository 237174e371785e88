/* The host's own sftp-server, with its loader and libraries, where each container can
 * run it: below the guest's folder, which is mounted at /.berth.
 *
 *   guest/sftp -> sftp-glibc-Xy12ab   a link: sessions begin with what it names
 *   guest/sftp-glibc-Xy12ab/          sftp-server, ld.so, libc.so.6 ...
 *   guest/sftp-glibc-Xy12ab/sources   of which files they are copies
 *
 * Running containers see the folder as it is on the host: so a bundle is made whole
 * beside the old one, tried, and comes in by the renaming of a link. The one before
 * stays till the next change, for sessions that are just starting. */
#ifndef BERTH_BUNDLE_BUNDLE_H
#define BERTH_BUNDLE_BUNDLE_H

#include "base/error.h"

enum bundle_state {
    BUNDLE_MISSING,
    BUNDLE_CURRENT,
    BUNDLE_STALE, /* it is no copy of the host's files any more */
};

struct bundle {
    enum bundle_state state;
    char *server; /* of the host; NULL where there is no bundle */
    char *why;    /* it is stale, or missing */
};

/* Looks at the bundle in `folder`, and at the host's files that it was made of. */
int bundle_look(struct bundle *bundle, const char *folder, struct error **err);
void bundle_free(struct bundle *bundle);

/* Makes a bundle of `server`, NULL: of the host's, wherever it is, and has it take the
 * place of the one that is there. */
int bundle_make(const char *folder, const char *server, struct error **err);

/* The host's sftp-server, at one of the usual places; NULL where there is none. */
const char *bundle_host_server(void);

#endif
