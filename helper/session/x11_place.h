/* The client's display in the container: a socket X10 in a folder of the container's
 * folder, which is mounted where X clients look for such, and beside that folder the file
 * with the cookie. */
#ifndef BERTH_SESSION_X11_PLACE_H
#define BERTH_SESSION_X11_PLACE_H

#include "base/error.h"
#include "session/x11.h"

#include <stdbool.h>

/* In the container's folder, and where it is in the container. */
#define X11_FOLDER "x11"
#define X11_ABOVE  "/tmp"
#define X11_AT     X11_ABOVE "/.X11-unix"
/* "xauthority.SESSION" */
#define X11_AUTHORITY "xauthority."

enum { X11_NAME_SIZE = 32 };

/* Makes X11_FOLDER, where it isn't there. */
int x11_place_make(int folder, struct error **err);
/* Removes it, and all that sessions left in it. */
void x11_place_remove(int folder);

void x11_authority_name(char name[X11_NAME_SIZE], const char *session);
/* Whether a name in a container's folder is such a file's. */
bool x11_is_authority(const char *name);

/* Writes the cookie's file, makes the socket and listens. Both are for every uid in the
 * container; the folder is nobody else's to reach. A socket of that number is an earlier
 * session's whose display is gone, since sshd has given the number to this one: it is
 * replaced. */
int x11_listen(int folder, const char *session, const struct x11 *x11, struct error **err);
/* Takes both away. */
void x11_withdraw(int folder, const char *session, const struct x11 *x11);

#endif
