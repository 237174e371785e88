#include "config.h"

#include "bundle/copy.h"

#include "base/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

static int write_all(int fd, const char *bytes, size_t len)
{
    while (len > 0) {
        ssize_t n = write(fd, bytes, len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -1;
        bytes += n;
        len -= (size_t)n;
    }
    return 0;
}

static int copy_bytes(int from, int to, off_t *copied)
{
    char bytes[64 * 1024];
    ssize_t n;

    while ((n = read(from, bytes, sizeof bytes)) != 0) {
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 || write_all(to, bytes, (size_t)n) < 0)
            return -1;
        *copied += n;
    }
    return 0;
}

static int create(int dir, const char *name, struct error **err)
{
    int fd = openat(dir, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);

    return fd < 0 ? error_set(err, errno, "cannot make %s", name) : fd;
}

static int finish(int fd, const char *name, mode_t mode, struct error **err)
{
    if (fchmod(fd, mode) < 0 || fsync(fd) < 0)
        return error_set(err, errno, "cannot write %s", name);
    return 0;
}

int copy_file(const char *path, int dir, const char *name, mode_t mode, struct stat *from,
              struct error **err)
{
    off_t copied = 0;
    cleanup_fd int source = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);

    if (source < 0 || fstat(source, from) < 0)
        return error_set(err, errno, "%s", path);
    cleanup_fd int fd = create(dir, name, err);
    if (fd < 0)
        return -1;
    if (copy_bytes(source, fd, &copied) < 0)
        return error_set(err, errno, "cannot copy %s", path);
    if (copied != from->st_size)
        return error_set(err, 0, "%s is being changed: try again", path);
    return finish(fd, name, mode, err);
}

int copy_text(const char *text, int dir, const char *name, mode_t mode, struct error **err)
{
    cleanup_fd int fd = create(dir, name, err);

    if (fd < 0)
        return -1;
    if (write_all(fd, text, strlen(text)) < 0)
        return error_set(err, errno, "cannot write %s", name);
    return finish(fd, name, mode, err);
}

int copy_remove(int dir, const char *name)
{
    int fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    DIR *list = fd >= 0 ? fdopendir(fd) : NULL;

    if (!list) {
        close_fd(&fd);
        return -1;
    }
    for (struct dirent *e; (e = readdir(list));)
        if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
            (void)unlinkat(fd, e->d_name, 0);
    closedir(list);
    return unlinkat(dir, name, AT_REMOVEDIR);
}
