#include "config.h"

#include "session/x11.h"

#include "base/file.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum {
    SCREEN_MOST = 255,
    PORT_MOST = 65535,
    LINE_SIZE = 256,   /* proc(5): /proc/net/tcp has lines of 150 */
    LISTENS = 0x0a,    /* TCP_LISTEN, as it stands there */
    CONNECT_MS = 2000, /* sshd's queue may be full for a moment */
    DIGITS_MOST = 5,
};

/* "10" of "10.0"; NULL: none, or too great. */
static const char *read_number(const char *text, unsigned most, unsigned *number)
{
    size_t len = strspn(text, "0123456789");

    if (len == 0 || len > DIGITS_MOST)
        return NULL;
    *number = 0;
    for (size_t i = 0; i < len; i++)
        *number = *number * 10 + (unsigned)(text[i] - '0');
    return *number <= most ? text + len : NULL;
}

int x11_read(struct x11 *x11, const char *display, struct error **err)
{
    static const char *const hosts[] = {"localhost:", "127.0.0.1:"};
    const char *rest = NULL;

    *x11 = (struct x11){0};
    for (size_t i = 0; !rest && i < sizeof hosts / sizeof *hosts; i++)
        if (strncmp(display, hosts[i], strlen(hosts[i])) == 0)
            rest = display + strlen(hosts[i]);
    if (!rest)
        return error_set(err, 0,
                         "DISPLAY is on another host than localhost (X11UseLocalhost no), or the "
                         "client's word");
    rest = read_number(rest, PORT_MOST - X11_PORT, &x11->number);
    if (rest && *rest == '.')
        rest = read_number(rest + 1, SCREEN_MOST, &x11->screen);
    return rest && !*rest ? 0 : error_set(err, 0, "DISPLAY is none of sshd's");
}

/* As /proc/net/tcp and tcp6 write the socket's own address. */
static void address_text(const struct x11 *x11, char *text, size_t size)
{
    const unsigned port = X11_PORT + x11->number;
    uint32_t word[4];

    if (x11->at.any.sa_family == AF_INET) {
        memcpy(word, &x11->at.four.sin_addr, sizeof *word);
        snprintf(text, size, "%08X:%04X", word[0], port);
        return;
    }
    memcpy(word, &x11->at.six.sin6_addr, sizeof word);
    snprintf(text, size, "%08X%08X%08X%08X:%04X", word[0], word[1], word[2], word[3], port);
}

struct listener {
    unsigned uid;
    unsigned long long inode;
};

/* Those who listen come first in the file, which has no end to speak of on a busy
 * machine. */
static bool listener_of(const struct x11 *x11, struct listener *found)
{
    const char *path = x11->at.any.sa_family == AF_INET ? "/proc/net/tcp" : "/proc/net/tcp6";
    char line[LINE_SIZE], wanted[64], address[64];
    unsigned state = LISTENS;
    bool there = false;
    FILE *f = fopen(path, "re");

    address_text(x11, wanted, sizeof wanted);
    if (f && !fgets(line, sizeof line, f)) /* the heading */
        state = 0;
    while (f && !there && state == LISTENS && fgets(line, sizeof line, f))
        there = sscanf(line, " %*u: %63s %*s %x %*s %*s %*s %u %*u %llu", address, &state,
                       &found->uid, &found->inode) == 4 &&
                state == LISTENS && strcmp(address, wanted) == 0;
    if (f)
        (void)fclose(f);
    return there;
}

static void set_address(struct x11 *x11, int family)
{
    const in_port_t port = htons((uint16_t)(X11_PORT + x11->number));

    memset(&x11->at, 0, sizeof x11->at);
    if (family == AF_INET) {
        x11->at.four = (struct sockaddr_in){
            .sin_family = AF_INET, .sin_port = port, .sin_addr = {htonl(INADDR_LOOPBACK)}};
        x11->at_len = sizeof x11->at.four;
    } else {
        x11->at.six = (struct sockaddr_in6){
            .sin6_family = AF_INET6, .sin6_port = port, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
        x11->at_len = sizeof x11->at.six;
    }
}

int x11_find(struct x11 *x11, struct error **err)
{
    static const int families[] = {AF_INET, AF_INET6};
    struct listener found;

    for (size_t i = 0; i < sizeof families / sizeof *families; i++) {
        set_address(x11, families[i]);
        if (!listener_of(x11, &found))
            continue;
        if (found.uid != getuid())
            return error_set(err, 0, "who listens for its display is another user");
        x11->listener = found.inode;
        return 0;
    }
    return error_set(err, 0, "nobody listens for its display on this machine");
}

/* Made without waiting where sshd's queue isn't full. */
static int finish(int fd)
{
    struct pollfd pollfd = {.fd = fd, .events = POLLOUT};
    socklen_t len = sizeof(int);
    int error = 0;

    if (poll(&pollfd, 1, CONNECT_MS) != 1) {
        errno = ETIMEDOUT;
        return -1;
    }
    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0)
        return -1;
    errno = error;
    return error ? -1 : 0;
}

/* The listener that was found before and is there after the connection was made has taken
 * it: a port has one at a time. */
int x11_connect(const struct x11 *x11, struct error **err)
{
    const int on = 1;
    struct listener now;
    cleanup_fd int fd = socket(x11->at.any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC,
                               0);

    if (fd < 0 ||
        (connect(fd, &x11->at.any, x11->at_len) < 0 && (errno != EINPROGRESS || finish(fd) < 0)))
        return error_set(err, errno, "cannot connect to sshd's port");
    if (!listener_of(x11, &now) || now.inode != x11->listener)
        return error_set(err, 0, "who listens for its display isn't who did");
    /* X clients await answers to what is a few bytes. */
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    return release_fd(&fd);
}
