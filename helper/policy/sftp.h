/* berth.conf's options of sftp. */
#ifndef BERTH_POLICY_SFTP_H
#define BERTH_POLICY_SFTP_H

#include "base/error.h"
#include "policy/policy.h"

/* As value.h. "bundled", "image", "image:/PATH" or "off"; *path is the PATH, allocated, else
 * NULL. */
int sftp_source(const char *s, enum sftp_source *source, char **path, struct error **err);
/* "auto", "yes" or "no". */
int sftp_audit(const char *s, enum sftp_audit *audit, struct error **err);
/* "0027": octal, at most 0777. */
int sftp_umask(const char *s, unsigned *mask, struct error **err);

#endif
