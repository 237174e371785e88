#include "config.h"

#include "session/agent.h"

#include "base/file.h"
#include "base/process.h"
#include "channel/guest.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    BACKLOG = 128, /* as sshd's own */
    /* Each turn makes up for a session that began or ended in the last one. */
    TURNS_MOST = 100,
};

void agent_name(char name[AGENT_NAME_SIZE], const char *session)
{
    snprintf(name, AGENT_NAME_SIZE, AGENT_PREFIX "%s", session);
}

bool agent_is_name(const char *name)
{
    return strcmp(name, AGENT_LINK) == 0 ||
           strncmp(name, AGENT_PREFIX, sizeof AGENT_PREFIX - 1) == 0;
}

void agent_sshd_find(struct agent_sshd *sshd)
{
    pid_t pid = getppid(), parent;
    uid_t uid;

    sshd->count = 0;
    while (pid > 1 && sshd->count < AGENT_SSHD_MAX) {
        sshd->pids[sshd->count++] = pid;
        if (!process_status(pid, &uid, &parent) || uid != getuid())
            break;
        pid = parent;
    }
}

int agent_find(const char *path, struct error **err)
{
    struct stat st;
    cleanup_fd int fd = path[0] == '/' ? open(path, O_PATH | O_NOFOLLOW | O_CLOEXEC) : -1;

    if (fd < 0 || fstat(fd, &st) < 0)
        return error_set(err, path[0] == '/' ? errno : EINVAL, "cannot open it");
    if (!S_ISSOCK(st.st_mode) || st.st_uid != getuid())
        return error_set(err, 0, "it is no socket of this user's");
    return release_fd(&fd);
}

static bool is_sshds(int fd, const struct agent_sshd *sshd)
{
    struct ucred peer;
    socklen_t len = sizeof peer;

    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) < 0 || peer.uid != getuid())
        return false;
    for (size_t i = 0; i < sshd->count; i++)
        if (sshd->pids[i] == peer.pid)
            return true;
    return false;
}

int agent_connect(int found, const struct agent_sshd *sshd, struct error **err)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    cleanup_fd int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    snprintf(at.sun_path, sizeof at.sun_path, "/proc/self/fd/%d", found);
    if (fd < 0 || connect(fd, (const struct sockaddr *)&at, sizeof at) < 0)
        return error_set(err, errno, "cannot connect to sshd's socket");
    if (!is_sshds(fd, sshd))
        return error_set(err, 0, "who listens there isn't this connection's sshd");
    return release_fd(&fd);
}

/* What is being made has another name until it is there. */
static void temporary_name(char name[AGENT_NAME_SIZE], const char *session)
{
    snprintf(name, AGENT_NAME_SIZE, AGENT_PREFIX "%s~", session);
}

static bool is_socket_name(const char *name)
{
    size_t len = strlen(name);

    return agent_is_name(name) && strcmp(name, AGENT_LINK) != 0 && len < AGENT_NAME_SIZE &&
           name[len - 1] != '~';
}

static bool later(const struct timespec *a, const struct timespec *b)
{
    return a->tv_sec != b->tv_sec ? a->tv_sec > b->tv_sec : a->tv_nsec > b->tv_nsec;
}

/* The socket that was made last; false where there is none. */
static bool newest(int folder, char name[AGENT_NAME_SIZE])
{
    cleanup_fd int fd = openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
    const struct dirent *entry;
    struct timespec when = {0};
    struct stat st;

    name[0] = '\0';
    if (!dir)
        return false;
    (void)release_fd(&fd);
    while ((entry = readdir(dir))) {
        if (!is_socket_name(entry->d_name) ||
            fstatat(folder, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISSOCK(st.st_mode))
            continue;
        if (name[0] && !later(&st.st_mtim, &when))
            continue;
        when = st.st_mtim;
        snprintf(name, AGENT_NAME_SIZE, "%s", entry->d_name);
    }
    closedir(dir);
    return name[0] != '\0';
}

/* Where nobody listens any more: it was killed. */
static bool is_dead(int folder, const char *name)
{
    struct sockaddr_un at;
    cleanup_fd int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    guest_address(&at, folder, name);
    return fd >= 0 && connect(fd, (const struct sockaddr *)&at, sizeof at) < 0 &&
           errno == ECONNREFUSED;
}

/* Whom the link is to lead to. */
static bool choose(int folder, const char *own, char name[AGENT_NAME_SIZE])
{
    for (int i = 0; i < TURNS_MOST && newest(folder, name); i++) {
        if (strcmp(name, own) == 0 || !is_dead(folder, name))
            return true;
        unlinkat(folder, name, 0);
    }
    return false;
}

/* Has the link lead to the newest socket. Others do the same at the same time, and each
 * looks again after what it did: so the last one leaves it right. */
static void settle(int folder, const char *session)
{
    char own[AGENT_NAME_SIZE], temporary[AGENT_NAME_SIZE], now[AGENT_NAME_SIZE + 1];
    char wanted[AGENT_NAME_SIZE];

    agent_name(own, session);
    temporary_name(temporary, session);
    for (int i = 0; i < TURNS_MOST; i++) {
        bool any = choose(folder, own, wanted);
        ssize_t n = readlinkat(folder, AGENT_LINK, now, sizeof now - 1);
        now[n > 0 ? n : 0] = '\0';
        if (any ? strcmp(now, wanted) == 0 : n < 0)
            return;
        if (!any)
            unlinkat(folder, AGENT_LINK, 0);
        else if (symlinkat(wanted, folder, temporary) < 0 ||
                 renameat(folder, temporary, folder, AGENT_LINK) < 0)
            return;
    }
}

static int make(int folder, const char *temporary, const char *name)
{
    struct sockaddr_un at;
    cleanup_fd int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    guest_address(&at, folder, temporary);
    /* Its name comes last: one that isn't listened on is a dead one's. */
    if (fd < 0 || bind(fd, (const struct sockaddr *)&at, sizeof at) < 0 ||
        fchmodat(folder, temporary, 0666, 0) < 0 || listen(fd, BACKLOG) < 0 ||
        renameat(folder, temporary, folder, name) < 0)
        return -1;
    return release_fd(&fd);
}

int agent_listen(int folder, const char *session, struct error **err)
{
    char name[AGENT_NAME_SIZE], temporary[AGENT_NAME_SIZE];

    agent_name(name, session);
    temporary_name(temporary, session);
    int fd = make(folder, temporary, name);
    if (fd < 0) {
        error_set(err, errno, "cannot make the socket \"%s\"", name);
        unlinkat(folder, temporary, 0);
        return -1;
    }
    settle(folder, session);
    return fd;
}

void agent_withdraw(int folder, const char *session)
{
    char name[AGENT_NAME_SIZE];

    agent_name(name, session);
    unlinkat(folder, name, 0);
    settle(folder, session);
}
