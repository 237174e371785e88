#include "config.h"

#include "policy/mount.h"

#include "base/file.h"
#include "base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* A sticky bit doesn't help: it keeps others from renaming what is there, not
 * from making what isn't there yet. */
static int ancestor_check(int fd, const char *path, size_t len, struct error **err)
{
    struct stat st;
    int shown = len > 0 ? (int)len : 1;

    if (len == 0)
        path = "/";
    if (fstat(fd, &st) < 0)
        return error_set(err, errno, "%.*s: cannot stat", shown, path);
    if (S_ISLNK(st.st_mode))
        return error_set(err, 0, "%.*s: is a symbolic link; name what it points to", shown, path);
    if (!S_ISDIR(st.st_mode))
        return error_set(err, ENOTDIR, "%.*s", shown, path);
    if (st.st_uid != 0)
        return error_set(err, 0,
                         "%.*s: owned by uid %u, must be root's, or its owner could put "
                         "something else below it",
                         shown, path, (unsigned)st.st_uid);
    if (st.st_mode & (S_IWGRP | S_IWOTH))
        return error_set(err, 0,
                         "%.*s: group or others may write it (mode %04o), so they could put "
                         "something else below it",
                         shown, path, (unsigned)st.st_mode & 07777);
    return 0;
}

static int source_check(int fd, const char *path, struct error **err)
{
    struct stat st;

    if (fstat(fd, &st) < 0)
        return error_set(err, errno, "%s: cannot stat", path);
    if (S_ISLNK(st.st_mode))
        return error_set(err, 0, "%s: is a symbolic link; name what it points to", path);
    return 0;
}

/* Who gets a last part that isn't there; NULL: nobody. */
struct maker {
    uid_t uid;
    gid_t gid;
    bool made;
};

/* In a directory that was checked: only root could be in the way. */
static int source_make(int fd, const char *part, const char *path, struct maker *maker,
                       struct error **err)
{
    if (mkdirat(fd, part, 0700) < 0)
        return error_set(err, errno, "%s: cannot make", path);
    cleanup_fd int made = openat(fd, part, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (made < 0 || fchown(made, maker->uid, maker->gid) < 0 || fchmod(made, 0700) < 0) {
        error_set(err, errno, "%s: cannot give it to uid %u", path, (unsigned)maker->uid);
        (void)unlinkat(fd, part, AT_REMOVEDIR);
        return -1;
    }
    maker->made = true;
    return 0;
}

static int walk(const char *path, struct maker *maker, struct error **err)
{
    if (path[0] != '/')
        return error_set(err, 0, "%s: not an absolute path", path);
    cleanup_fd int fd = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return error_set(err, errno, "/: cannot open");
    for (size_t i = 0;;) {
        char part[NAME_MAX + 1];
        size_t done = i;

        while (path[i] == '/')
            i++;
        if (path[i] == '\0')
            return source_check(fd, path, err);
        size_t len = strcspn(path + i, "/");
        if (len > NAME_MAX)
            return error_set(err, ENAMETOOLONG, "%s", path);
        memcpy(part, path + i, len);
        part[len] = '\0';
        if (strcmp(part, ".") == 0 || strcmp(part, "..") == 0)
            return error_set(err, 0, "%s: has \"%s\" in it", path, part);
        if (ancestor_check(fd, path, done, err) < 0)
            return -1;
        i += len;
        int next = openat(fd, part, O_PATH | O_NOFOLLOW | O_CLOEXEC);
        if (next < 0 && errno == ENOENT && maker && path[i + strspn(path + i, "/")] == '\0')
            return source_make(fd, part, path, maker, err);
        if (next < 0 && errno == EACCES)
            return error_set(err, 0,
                             "%.*s: the login may not look there, so it can't be checked: "
                             "chmod o+x the directory it is in",
                             (int)i, path);
        if (next < 0)
            return error_set(err, errno, "%.*s: cannot open", (int)i, path);
        close_fd(&fd);
        fd = next;
    }
}

int mount_source_check(const char *path, struct error **err)
{
    return walk(path, NULL, err);
}

int mount_source_make(const char *path, uid_t uid, gid_t gid, bool *made, struct error **err)
{
    struct maker maker = {.uid = uid, .gid = gid};
    int rc = walk(path, &maker, err);

    *made = maker.made;
    return rc;
}

bool mount_covers(const char *target, const char *path)
{
    for (;;) {
        target += strspn(target, "/");
        path += strspn(path, "/");
        size_t len = strcspn(target, "/");
        if (len == 0)
            return true;
        if (strcspn(path, "/") != len || memcmp(target, path, len) != 0)
            return false;
        target += len;
        path += len;
    }
}
