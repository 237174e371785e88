/* Where sshd's xauth puts the cookie of a forwarded display: a file for each connection
 * in the user's runtime directory, which pam_berth makes and names in XAUTHORITY. The
 * helper goes by the connection's id (connection.h), never by the variable. */
#ifndef BERTH_POLICY_XAUTH_H
#define BERTH_POLICY_XAUTH_H

#include "base/error.h"

#include <stdbool.h>

enum { XAUTH_NAME_SIZE = 32 };

/* "xauth-ID"; `id` is a connection's. */
void xauth_name(char name[XAUTH_NAME_SIZE], const char *id);

/* Makes it, empty and the caller's (fsuid), in `dir`, RUNTIME/UID. */
int xauth_make(int dir, const char *id, struct error **err);
/* Removes it, and what xauth may have left beside it. */
void xauth_remove(int dir, const char *id);

/* Removes those whose connections are gone. As root, who alone sees all connections. */
void xauth_sweep(int dir, const char *runtime_dir);

#endif
