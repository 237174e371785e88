#include "config.h"

#include "policy/sftp.h"

#include "policy/value.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int sftp_source(const char *s, enum sftp_source *source, char **path, struct error **err)
{
    static const char image[] = "image:";
    const size_t prefix = strlen(image);

    *path = NULL;
    if (strcmp(s, "bundled") == 0) {
        *source = SFTP_BUNDLED;
    } else if (strcmp(s, "image") == 0) {
        *source = SFTP_IMAGE;
    } else if (strcmp(s, "off") == 0) {
        *source = SFTP_OFF;
    } else if (strncmp(s, image, prefix) == 0 && value_is_path(s + prefix, strlen(s + prefix))) {
        *source = SFTP_IMAGE;
        *path = strdup(s + prefix);
        return *path ? 0 : error_set(err, ENOMEM, "cannot keep it");
    } else {
        return error_set(err, 0,
                         "must be \"bundled\", \"image\", \"off\", or \"image:\" and an absolute "
                         "path, as in \"image:/usr/lib/openssh/sftp-server\"");
    }
    return 0;
}

int sftp_audit(const char *s, enum sftp_audit *audit, struct error **err)
{
    cleanup_error struct error *no_bool = NULL;
    bool yes;

    if (strcmp(s, "auto") == 0)
        *audit = SFTP_AUDIT_AUTO;
    else if (value_bool(s, &yes, &no_bool) == 0)
        *audit = yes ? SFTP_AUDIT_YES : SFTP_AUDIT_NO;
    else
        return error_set(err, 0, "must be auto, yes or no");
    return 0;
}

int sftp_umask(const char *s, unsigned *mask, struct error **err)
{
    size_t len = strlen(s);

    if (len == 0 || len > 4 || strspn(s, "01234567") != len || strtoul(s, NULL, 8) > 0777)
        return error_set(err, 0, "must be an octal number up to 0777, as in \"0027\"");
    *mask = (unsigned)strtoul(s, NULL, 8);
    return 0;
}
