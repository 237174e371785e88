#include "config.h"

#include "pam/peer.h"

#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

/* sshd has a dozen open; listening sockets have no peer. */
enum { DESCRIPTORS = 256 };

typedef int name_of(int fd, struct sockaddr *address, socklen_t *len);

/* IPv4 that came in over an IPv6 socket is IPv4, as in sshd's own words. */
static void unmap(struct sockaddr_storage *address, socklen_t *len)
{
    struct sockaddr_in6 six;
    struct sockaddr_in four = {.sin_family = AF_INET};

    if (address->ss_family != AF_INET6)
        return;
    memcpy(&six, address, sizeof six);
    if (!IN6_IS_ADDR_V4MAPPED(&six.sin6_addr))
        return;
    memcpy(&four.sin_addr, six.sin6_addr.s6_addr + 12, sizeof four.sin_addr);
    four.sin_port = six.sin6_port;
    memcpy(address, &four, sizeof four);
    *len = sizeof four;
}

static bool end_of(char *text, size_t size, int fd, name_of *name)
{
    struct sockaddr_storage address = {0};
    socklen_t len = sizeof address;
    char host[NI_MAXHOST], port[NI_MAXSERV];

    if (name(fd, (struct sockaddr *)&address, &len) < 0 ||
        (address.ss_family != AF_INET && address.ss_family != AF_INET6))
        return false;
    unmap(&address, &len);
    return getnameinfo((struct sockaddr *)&address, len, host, sizeof host, port, sizeof port,
                       NI_NUMERICHOST | NI_NUMERICSERV) == 0 &&
           (size_t)snprintf(text, size, "%s %s", host, port) < size;
}

bool peer_is_ours(const char *peer)
{
    char there[128], here[128], both[sizeof there + sizeof here];

    for (int fd = 0; fd < DESCRIPTORS; fd++) {
        if (!end_of(there, sizeof there, fd, getpeername) ||
            !end_of(here, sizeof here, fd, getsockname))
            continue;
        snprintf(both, sizeof both, "%s %s", there, here);
        if (strcmp(both, peer) == 0)
            return true;
    }
    return false;
}
