/* How sftp is served: by the host's sftp-server that containers have at /.berth, or by the
 * image's own. */
#ifndef BERTH_SESSION_SFTP_H
#define BERTH_SESSION_SFTP_H

#include "base/text.h"
#include "policy/policy.h"
#include "session/request.h"

#include <stdbool.h>

/* Whether this request is sftp, and sftp-server is to serve it. */
bool sftp_is_served(const struct policy *policy, const struct request *request);

/* Whether containers have the guest's folder for sftp's sake. */
bool sftp_wants_bundle(const struct policy *policy);

/* argv of the bundled sftp-server up to its own arguments; empty where there is none. `mounted`:
 * the container has the guest's folder. -1 when memory ran out. */
int sftp_bundled(struct strings *argv, const struct policy *policy, bool mounted);

/* The image's programs that may be it, in the order of trying. */
int sftp_images(struct strings *programs, const struct policy *policy);

/* What to tell the user where none is there; the caller frees it, NULL when memory ran
 * out. */
char *sftp_missing(const struct policy *policy, bool mounted);

/* Whether what it does is logged: then its stderr is berth's. */
bool sftp_is_logged(const struct policy *policy, const struct request *request, bool mounted);

#endif
