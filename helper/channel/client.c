#include "config.h"

#include "channel/client.h"

#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

static const int handled_signals[] = {SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGWINCH};

static int signals_open(struct client *client, struct error **err)
{
    sigset_t set;

    sigemptyset(&set);
    for (size_t i = 0; i < sizeof handled_signals / sizeof *handled_signals; i++)
        sigaddset(&set, handled_signals[i]);
    sigemptyset(&client->pending);
    if (sigprocmask(SIG_BLOCK, &set, &client->mask) < 0)
        return error_set(err, errno, "sigprocmask");
    client->signals = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    if (client->signals < 0)
        return error_set(err, errno, "signalfd");
    return 0;
}

int client_open(struct client *client, bool tty, struct error **err)
{
    *client = (struct client){.tty = tty, .signals = -1};
    for (int fd = 0; fd < 3; fd++)
        client->flags[fd] = fd_set_nonblock(fd, true);
    if (signals_open(client, err) < 0)
        return -1;
    if (tty && tcgetattr(0, &client->saved) == 0) {
        struct termios quiet = client->saved;
        quiet.c_iflag &= (tcflag_t) ~(ICRNL | INLCR | IGNCR | ISTRIP | IXON | IXANY);
        quiet.c_lflag &= (tcflag_t) ~(ECHO | ECHONL | ICANON | IEXTEN);
        quiet.c_cc[VMIN] = 1;
        quiet.c_cc[VTIME] = 0;
        client->changed = tcsetattr(0, TCSANOW, &quiet) == 0;
    }
    return 0;
}

void client_none(struct client *client)
{
    *client = (struct client){.signals = -1, .flags = {-1, -1, -1}};
    for (int i = 0; i < CLIENT_POLL_MAX; i++)
        client->fds[i].fd = -1;
}

void client_raw(struct client *client)
{
    struct termios raw = client->saved;

    if (!client->changed)
        return;
    cfmakeraw(&raw);
    tcsetattr(0, TCSANOW, &raw);
}

void client_give_back(struct client *client)
{
    /* Backwards: a PTY's three are one open file, and the first to be changed saw
     * what it was. */
    for (int fd = 2; fd >= 0; fd--) {
        if (client->flags[fd] >= 0)
            fcntl(fd, F_SETFL, client->flags[fd]);
        client->flags[fd] = -1;
    }
}

void client_close(struct client *client)
{
    if (client->changed)
        tcsetattr(0, TCSANOW, &client->saved);
    client->changed = false;
    client_give_back(client);
    if (client->signals >= 0) {
        /* A hang-up's SIGHUP was seen as such; it must not come now. */
        client_read_signals(client);
        sigprocmask(SIG_SETMASK, &client->mask, NULL);
    }
    close_fd(&client->signals);
}

/* root's own, by kill(2) or pidfd_send_signal(2): any sender may say anything of itself
 * with sigqueue(3), but not SI_USER; and a signal that the kernel knew no sender of has
 * pid 0. */
static bool is_administrators(const struct signalfd_siginfo *info)
{
    return info->ssi_signo == SIGTERM && info->ssi_code == SI_USER && info->ssi_uid == 0 &&
           info->ssi_pid != 0;
}

void client_read_signals(struct client *client)
{
    struct signalfd_siginfo info;

    while (read(client->signals, &info, sizeof info) == (ssize_t)sizeof info) {
        if (info.ssi_signo == SIGWINCH)
            client->resized = true;
        else if (is_administrators(&info))
            client->killed = client->gone = true;
        else
            sigaddset(&client->pending, (int)info.ssi_signo);
    }
}

int client_take_signal(struct client *client)
{
    for (size_t i = 0; i < sizeof handled_signals / sizeof *handled_signals; i++) {
        if (sigismember(&client->pending, handled_signals[i]) == 1) {
            sigdelset(&client->pending, handled_signals[i]);
            return handled_signals[i];
        }
    }
    return 0;
}

void client_note(struct client *client, int fd, short revents)
{
    if (fd == 0 && client->tty && revents & (POLLHUP | POLLERR))
        client->gone = true;
    if (fd == 1 && revents & (POLLERR | POLLHUP | POLLNVAL))
        client->out_gone = true;
    if (fd == 2 && revents & (POLLERR | POLLHUP | POLLNVAL))
        client->err_gone = true;
    if (client->out_gone && client->err_gone)
        client->gone = true;
}

static int watch_check(void *data)
{
    struct client *client = data;
    struct pollfd *fds = client->fds;

    if (fds[0].revents)
        client_read_signals(client);
    for (int i = 1; i < CLIENT_POLL_MAX; i++) {
        client_note(client, fds[i].fd, fds[i].revents);
        /* What it had to say is said; it would only keep poll() awake. */
        if (fds[i].revents)
            fds[i].fd = -1;
    }
    return client->gone || (!client->holds_signals && !sigisemptyset(&client->pending));
}

const struct http_watch *client_watch(struct client *client)
{
    client->fds[0] = (struct pollfd){.fd = client->signals, .events = POLLIN};
    client->fds[1] = (struct pollfd){.fd = client->tty ? 0 : -1};
    client->fds[2] = (struct pollfd){.fd = 1};
    client->fds[3] = (struct pollfd){.fd = 2};
    client->watch = (struct http_watch){
        .fds = client->fds, .count = CLIENT_POLL_MAX, .check = watch_check, .data = client};
    return &client->watch;
}

int client_poll(struct client *client, struct pollfd *fds, size_t count, int timeout_ms,
                struct error **err)
{
    struct pollfd all[CLIENT_WAIT_MAX + CLIENT_POLL_MAX];

    if (count > CLIENT_WAIT_MAX)
        return error_set(err, 0, "too many descriptors to wait for");
    if (count > 0)
        memcpy(all, fds, count * sizeof *fds);
    memcpy(all + count, client->fds, sizeof client->fds);
    int n = poll(all, count + CLIENT_POLL_MAX, timeout_ms);
    if (n < 0 && errno != EINTR)
        return error_set(err, errno, "poll");
    int ready = 0;
    for (size_t i = 0; i < count; i++) {
        fds[i].revents = n > 0 ? all[i].revents : 0;
        ready += fds[i].revents != 0;
    }
    for (size_t i = 0; i < CLIENT_POLL_MAX; i++)
        client->fds[i].revents = n > 0 ? all[count + i].revents : 0;
    if (watch_check(client))
        return error_set_kind(err, ERROR_ABANDONED, "given up: the session is over");
    return ready;
}

bool client_window(const struct client *client, struct winsize *size)
{
    return client->tty && ioctl(0, TIOCGWINSZ, size) == 0 && size->ws_row > 0 && size->ws_col > 0;
}
