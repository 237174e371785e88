#include "config.h"

#include "base/runtime.h"

#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

int runtime_open(const char *path, struct error **err)
{
    struct stat st;
    cleanup_fd int top = open(path, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

    if (top < 0 || fstat(top, &st) < 0)
        return error_set(err, errno,
                         "runtime directory %s: cannot open (systemd-tmpfiles --create "
                         "makes it, or: mkdir -m 1777 %s)",
                         path, path);
    if (st.st_uid != 0)
        return error_set(err, 0, "runtime directory %s: owned by uid %u, must be root's", path,
                         (unsigned)st.st_uid);
    if (st.st_mode & (S_IWGRP | S_IWOTH) && !(st.st_mode & S_ISVTX))
        return error_set(err, 0,
                         "runtime directory %s: others may write it, and it isn't sticky: "
                         "chmod 1777 it",
                         path);
    return release_fd(&top);
}

int runtime_open_user(const char *path, uid_t uid, bool make, struct error **err)
{
    char name[16];
    struct stat st;
    cleanup_fd int top = runtime_open(path, err);

    if (top < 0)
        return -1;
    snprintf(name, sizeof name, "%u", (unsigned)uid);
    if (make && mkdirat(top, name, 0700) < 0 && errno != EEXIST)
        return error_set(err, errno, "runtime directory %s/%s: cannot make", path, name);
    cleanup_fd int dir = openat(top, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (dir < 0 && errno == ENOENT && !make)
        return error_set_kind(err, ERROR_NOT_FOUND, "runtime directory %s/%s: there is none", path,
                              name);
    if (dir < 0 || fstat(dir, &st) < 0)
        return error_set(err, errno, "runtime directory %s/%s: cannot open; remove what is there",
                         path, name);
    if (st.st_uid != uid || (st.st_mode & 0777) != 0700)
        return error_set(err, 0,
                         "runtime directory %s/%s: owned by uid %u with mode %04o, must be "
                         "uid %u's with 0700: remove it",
                         path, name, (unsigned)st.st_uid, (unsigned)st.st_mode & 07777,
                         (unsigned)uid);
    return release_fd(&dir);
}

static int check_roots(int fd, const char *path, const struct runtime_folder *folder,
                       struct error **err)
{
    struct stat st;

    if (fstat(fd, &st) < 0)
        return error_set(err, errno, "%s/%s: cannot stat", path, folder->name);
    if (st.st_uid != 0 || st.st_mode & (S_IWGRP | S_IWOTH))
        return error_set(err, 0,
                         "%s/%s: owned by uid %u with mode %04o, must be root's with %04o: "
                         "remove it",
                         path, folder->name, (unsigned)st.st_uid, (unsigned)st.st_mode & 07777,
                         (unsigned)folder->mode);
    return 0;
}

int runtime_open_roots(const char *path, const struct runtime_folder *folder, bool make, int flags,
                       struct error **err)
{
    cleanup_fd int top = runtime_open(path, err);

    if (top < 0)
        return -1;
    /* Whatever the umask. */
    int made = make ? mkdirat(top, folder->name, folder->mode) : 0;
    if (make && made == 0)
        made = fchmodat(top, folder->name, folder->mode, 0);
    if (made < 0 && errno != EEXIST)
        return error_set(err, errno, "%s/%s: cannot make", path, folder->name);
    cleanup_fd int fd = openat(top, folder->name, flags | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return error_set_kind(err, errno == ENOENT ? ERROR_NOT_FOUND : ERROR_OTHER,
                              "%s/%s: cannot open", path, folder->name);
    return check_roots(fd, path, folder, err) < 0 ? -1 : release_fd(&fd);
}

/* O_PATH: closing it lets no lock go. */
static int find_own(int dir, const char *name)
{
    struct stat folder, st;
    cleanup_fd int fd = openat(dir, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);

    if (fd < 0 || fstat(dir, &folder) < 0 || fstat(fd, &st) < 0)
        return -1;
    if (!S_ISREG(st.st_mode) || st.st_uid != folder.st_uid || st.st_nlink > 1) {
        errno = S_ISREG(st.st_mode) ? EPERM : EINVAL;
        return -1;
    }
    return release_fd(&fd);
}

int runtime_open_own(int dir, const char *name, int flags)
{
    char path[64];

    for (;;) {
        cleanup_fd int found = find_own(dir, name);
        if (found >= 0) {
            snprintf(path, sizeof path, "/proc/self/fd/%d", found);
            return open(path, (flags & ~O_CREAT) | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
        }
        if (errno != ENOENT || !(flags & O_CREAT))
            return -1;
        int made = openat(dir, name, flags | O_EXCL | O_NOFOLLOW | O_NOCTTY | O_CLOEXEC, 0600);
        if (made >= 0 || errno != EEXIST)
            return made;
    }
}

int runtime_open_file(int dir, const char *name, int flags)
{
    struct stat st;
    cleanup_fd int fd = openat(dir, name, flags | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC,
                               0600);

    if (fd < 0 || fstat(fd, &st) < 0)
        return -1;
    if (!S_ISREG(st.st_mode)) {
        errno = EINVAL;
        return -1;
    }
    return release_fd(&fd);
}
