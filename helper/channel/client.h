/* The side that sshd gave: three pipes or a PTY, signals, the window. */
#ifndef BERTH_CHANNEL_CLIENT_H
#define BERTH_CHANNEL_CLIENT_H

#include "base/error.h"
#include "channel/deadline.h"
#include "engine/http.h"

#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/ioctl.h>
#include <termios.h>

enum { CLIENT_POLL_MAX = 4, CLIENT_WAIT_MAX = 4 };

struct client {
    bool tty;
    int signals;             /* signalfd: what the helper gets is read, never delivered */
    bool out_gone, err_gone; /* nobody reads there any more */
    bool gone;               /* the connection's end, or the PTY's hang-up */
    bool killed;             /* the administrator's SIGTERM came: `gone` is set too */
    bool resized;            /* SIGWINCH came; cleared by whom it concerns */
    sigset_t pending;        /* came and not yet taken */
    bool holds_signals;      /* they end no wait now */

    struct deadline deadline; /* of the session, once it runs */

    struct pollfd fds[CLIENT_POLL_MAX]; /* for the watch */
    struct http_watch watch;

    struct termios saved; /* as it was, where `changed` */
    bool changed;
    int flags[3];  /* of 0, 1, 2; -1: could not be read */
    sigset_t mask; /* as it was */
};

/* From here on 0, 1, 2 don't block, signals go to the signalfd, and a PTY
 * neither echoes nor edits lines; its ^C still makes SIGINT. */
int client_open(struct client *client, bool tty, struct error **err);
/* For waits on nobody's account: never gone, no signals, no terminal. */
void client_none(struct client *client);
/* The PTY becomes a plain path for bytes: ^C is the container's. */
void client_raw(struct client *client);
/* All as it was, SIGPIPE too: main() has it ignored. */
void client_close(struct client *client);

/* Their file status flags are again as sshd set them: for whoever gets them. */
void client_give_back(struct client *client);

/* What a wait for the engine watches meanwhile: it is abandoned when the client
 * is gone or a signal other than SIGWINCH came. */
const struct http_watch *client_watch(struct client *client);

/* poll() that watches the client too, as client_watch was set up to: how many of
 * `fds` (at most CLIENT_WAIT_MAX) are ready, 0 also where a signal cut it short;
 * -1 with ERROR_ABANDONED where the client is gone or a signal for it came. */
int client_poll(struct client *client, struct pollfd *fds, size_t count, int timeout_ms,
                struct error **err);

/* Reads the signalfd into `pending`, `resized` and `killed`. */
void client_read_signals(struct client *client);
/* Takes one pending signal, 0 when there is none. */
int client_take_signal(struct client *client);
/* What poll() said of descriptor 0, 1 or 2. */
void client_note(struct client *client, int fd, short revents);

/* False where there is no window or it has no size. */
bool client_window(const struct client *client, struct winsize *size);

#endif
