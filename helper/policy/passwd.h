/* /etc/passwd and /etc/group (passwd(5), group(5)) of a container, with a login's lines
 * before those of its image. */
#ifndef BERTH_POLICY_PASSWD_H
#define BERTH_POLICY_PASSWD_H

#include "base/text.h"

struct passwd_ids {
    unsigned uid, gid;
    bool has_gid; /* else it is the image's word: that of the uid's line, or 0 */
};

/* "2001:2001" or "2001". False: it has a name in it, which is the image's. */
bool passwd_ids(struct passwd_ids *ids, const char *user);
/* Whether a line can hold it as a login's name. */
bool passwd_takes(const char *name);

struct passwd_login {
    const char *name;
    struct passwd_ids ids;
    const char *home;
    const char *shell;            /* NULL: that of the image's line, else by `bash` */
    bool bash;                    /* the image has /bin/bash */
    const struct strings *groups; /* "GID:NAME", NAME perhaps empty */
};

/* Appends the file to `out`, `out->failed` where memory ran out. `image` is the image's
 * own, of any bytes. */
void passwd_make(struct text *out, const struct passwd_login *login, const struct text *image);
/* Names of groups that the image knows stay; else the login's group has the login's name,
 * and one of `groups` its own. */
void passwd_make_group(struct text *out, const struct passwd_login *login,
                       const struct text *image_passwd, const struct text *image);

#endif
