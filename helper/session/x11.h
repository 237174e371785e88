/* The client's display (ssh -X), as sshd has it on this machine: a port of 127.0.0.1 on
 * which sshd listens for this one session. */
#ifndef BERTH_SESSION_X11_H
#define BERTH_SESSION_X11_H

#include "base/error.h"
#include "session/xauthority.h"

#include <netinet/in.h>
#include <sys/socket.h>

/* Display 0 is port 6000 (X(7)). */
enum { X11_PORT = 6000 };

struct x11 {
    unsigned number, screen;
    struct cookie cookie; /* which the client's ssh knows */
    union {
        struct sockaddr any;
        struct sockaddr_in four;
        struct sockaddr_in6 six;
    } at;
    socklen_t at_len;
    unsigned long long listener; /* the inode of sshd's socket */
};

/* DISPLAY as sshd writes it: "localhost:10.0". Refused: what is on another host, as with
 * X11UseLocalhost no, or may be the client's word, where sshd forwards no display. */
int x11_read(struct x11 *x11, const char *display, struct error **err);
/* Finds who listens there. Refused: nobody, another uid's process. */
int x11_find(struct x11 *x11, struct error **err);
/* Connects to it; what is returned doesn't block. Refused: one on which by now somebody
 * else listens. */
int x11_connect(const struct x11 *x11, struct error **err);

#endif
