#include "config.h"

#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* For a file whose size nobody asked: most that are read have less. */
enum { FIRST_ROOM = 2048 };

void close_fd(int *fd)
{
    int saved = errno;

    if (*fd >= 0)
        close(*fd);
    *fd = -1;
    errno = saved;
}

int release_fd(int *fd)
{
    int handed = *fd;

    *fd = -1;
    return handed;
}

void fd_close_from(int from)
{
#ifdef HAVE_CLOSE_RANGE
    if (close_range((unsigned)from, ~0U, 0) == 0)
        return;
#endif
    /* A kernel before 5.9: as far as we ever get. */
    for (int fd = from; fd < 32768; fd++)
        close(fd);
}

int fd_own_only(void)
{
    int fd;

    do
        fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    while (fd >= 0 && fd < 3);
    if (fd < 0)
        return -1;
    fd_close_from(3);
    return 0;
}

int fd_set_nonblock(int fd, bool on)
{
    int flags = fcntl(fd, F_GETFL);

    if (flags < 0)
        return -1;
    int wanted = on ? flags | O_NONBLOCK : flags & ~O_NONBLOCK;
    if (wanted != flags && fcntl(fd, F_SETFL, wanted) < 0)
        return -1;
    return flags;
}

int file_lock(int fd, int wait_ms, struct error **err)
{
    static const struct timespec moment = {0, 500000};
    long long end = now_ms() + wait_ms;

    while (flock(fd, LOCK_EX | LOCK_NB) < 0) {
        if (errno != EWOULDBLOCK && errno != EINTR)
            return error_set(err, errno, "cannot lock it");
        if (now_ms() > end)
            return error_set(err, 0, "somebody keeps it locked: fuser(1) tells who");
        nanosleep(&moment, NULL);
    }
    return 0;
}

long long now_ms(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (long long)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

void pause_ms(long ms)
{
    struct timespec ts = {ms / 1000, ms % 1000 * 1000000};

    nanosleep(&ts, NULL);
}

int file_open_trusted(const char *path, enum trust trust, size_t most, struct error **err)
{
    struct stat st;

    if (path[0] != '/')
        return error_set(err, 0, "%s: not an absolute path", path);
    /* O_NONBLOCK: a FIFO put there must not make the login hang. */
    cleanup_fd int fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (fd < 0) {
        if (errno == ELOOP)
            return error_set(err, 0, "%s: is a symbolic link; name the file itself", path);
        return error_set(err, errno, "%s: cannot open", path);
    }
    if (fstat(fd, &st) < 0)
        return error_set(err, errno, "%s: cannot stat", path);
    if (!S_ISREG(st.st_mode))
        return error_set(err, 0, "%s: not a regular file", path);
    if (st.st_uid != 0)
        return error_set(err, 0, "%s: owned by uid %u, must be root's: chown root it", path,
                         (unsigned)st.st_uid);
    if (st.st_mode & (S_IWGRP | S_IWOTH))
        return error_set(err, 0, "%s: group or others may write it (mode %04o): chmod go-w it",
                         path, (unsigned)st.st_mode & 07777);
    if (trust == TRUST_SECRET && st.st_mode & S_IROTH)
        return error_set(err, 0,
                         "%s: holds a secret that others may read (mode %04o): chmod o-r it", path,
                         (unsigned)st.st_mode & 07777);
    if (st.st_size < 0 || (size_t)st.st_size > most)
        return error_set(err, 0, "%s: has %lld bytes, at most %zu are read", path,
                         (long long)st.st_size, most);
    return release_fd(&fd);
}

char *file_read_all(int fd, size_t most, size_t *len)
{
    size_t used = 0, room = most < FIRST_ROOM ? most : FIRST_ROOM;
    char *data = malloc(room + 1);

    while (data && used < most) {
        if (used == room) {
            room = most / 2 < room ? most : room * 2;
            char *bigger = realloc(data, room + 1);
            if (!bigger)
                free(data);
            data = bigger;
            continue;
        }
        ssize_t n = read(fd, data + used, room - used);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            free(data);
            return NULL;
        }
        if (n == 0)
            break;
        used += (size_t)n;
    }
    if (!data)
        return NULL;
    data[used] = '\0';
    *len = used;
    return data;
}

char *file_read_trusted(const char *path, enum trust trust, size_t most, size_t *len,
                        struct error **err)
{
    cleanup_fd int fd = file_open_trusted(path, trust, most, err);
    size_t used;

    if (fd < 0)
        return NULL;
    char *data = file_read_all(fd, most, len ? len : &used);
    if (!data)
        error_set(err, errno, "%s: cannot read", path);
    return data;
}
