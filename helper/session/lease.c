#include "config.h"

#include "session/lease.h"

#include "base/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

static int open_user_dir(const char *runtime_dir, uid_t uid, struct error **err)
{
    char name[16];
    struct stat st;
    cleanup_fd int top = open(runtime_dir, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

    if (top < 0 || fstat(top, &st) < 0)
        return error_set(err, errno,
                         "runtime directory %s: cannot open (systemd-tmpfiles --create "
                         "makes it, or: mkdir -m 1777 %s)",
                         runtime_dir, runtime_dir);
    if (st.st_uid != 0)
        return error_set(err, 0, "runtime directory %s: owned by uid %u, must be root's",
                         runtime_dir, (unsigned)st.st_uid);
    if (st.st_mode & (S_IWGRP | S_IWOTH) && !(st.st_mode & S_ISVTX))
        return error_set(err, 0,
                         "runtime directory %s: others may write it, and it isn't sticky: "
                         "chmod 1777 it",
                         runtime_dir);
    snprintf(name, sizeof name, "%u", (unsigned)uid);
    if (mkdirat(top, name, 0700) < 0 && errno != EEXIST)
        return error_set(err, errno, "runtime directory %s/%s: cannot make", runtime_dir, name);
    cleanup_fd int dir = openat(top, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (dir < 0 || fstat(dir, &st) < 0)
        return error_set(err, errno, "runtime directory %s/%s: cannot open; remove what is there",
                         runtime_dir, name);
    if (st.st_uid != uid || (st.st_mode & 0777) != 0700)
        return error_set(err, 0,
                         "runtime directory %s/%s: owned by uid %u with mode %04o, must be "
                         "uid %u's with 0700: remove it",
                         runtime_dir, name, (unsigned)st.st_uid, (unsigned)st.st_mode & 07777,
                         (unsigned)uid);
    return release_fd(&dir);
}

static void lock_name(char name[32], const char *session)
{
    snprintf(name, 32, "%s.lock", session);
}

int lease_take(struct lease *lease, const char *runtime_dir, uid_t uid, const char *session,
               struct error **err)
{
    *lease = (struct lease){.dir = -1, .lock = -1};
    snprintf(lease->session, sizeof lease->session, "%s", session);
    lease->dir = open_user_dir(runtime_dir, uid, err);
    if (lease->dir < 0)
        return -1;
    lease->lock = openat(lease->dir, ".", O_RDWR | O_TMPFILE | O_CLOEXEC, 0600);
    if (lease->lock < 0 || flock(lease->lock, LOCK_EX | LOCK_NB) < 0) {
        error_set(err, errno,
                  "runtime directory %s/%u: cannot make a locked file (put runtime_dir on a "
                  "tmpfs, as /run is)",
                  runtime_dir, (unsigned)uid);
        lease_close(lease);
        return -1;
    }
    return 0;
}

int lease_publish(const struct lease *lease, struct error **err)
{
    char name[32], file[32];

    lock_name(name, lease->session);
    snprintf(file, sizeof file, "/proc/self/fd/%d", lease->lock);
    if (linkat(AT_FDCWD, file, lease->dir, name, AT_SYMLINK_FOLLOW) < 0)
        return error_set(err, errno, "cannot name %s in the runtime directory", name);
    return 0;
}

void lease_end(const struct lease *lease)
{
    char name[32];

    lock_name(name, lease->session);
    if (lease->dir >= 0)
        unlinkat(lease->dir, name, 0);
}

void lease_note(const struct lease *lease, char state)
{
    /* Without the note a sweep only asks once where it could ask again. */
    if (pwrite(lease->lock, &state, 1, 0) != 1)
        syslog(LOG_WARNING, "session=%s cannot note its state: %m", lease->session);
}

char lease_noted(const struct lease *lease, long long *age)
{
    struct stat st = {0};
    char state = '\0';

    if (fstat(lease->lock, &st) < 0 || pread(lease->lock, &state, 1, 0) != 1)
        state = '\0';
    *age = (long long)(time(NULL) - st.st_mtime);
    return state;
}

void lease_close(struct lease *lease)
{
    close_fd(&lease->lock);
    close_fd(&lease->dir);
}

/* "9f8e7d6c5b4a3921.lock" -> its session */
static bool session_of(const char *file, char session[LEASE_SESSION_SIZE])
{
    size_t len = strspn(file, "0123456789abcdef");

    if (len != LEASE_SESSION_SIZE - 1 || strcmp(file + len, ".lock") != 0)
        return false;
    memcpy(session, file, len);
    session[len] = '\0';
    return true;
}

void lease_each_stale(const struct lease *lease, lease_stale *visit, void *data)
{
    int fd = openat(lease->dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
    const struct dirent *entry;
    bool go_on = true;

    if (!dir) {
        close_fd(&fd);
        return;
    }
    while (go_on && (entry = readdir(dir))) {
        struct lease stale = {.dir = lease->dir, .lock = -1};
        if (!session_of(entry->d_name, stale.session) || strcmp(stale.session, lease->session) == 0)
            continue;
        stale.lock = openat(lease->dir, entry->d_name, O_RDWR | O_NOFOLLOW | O_CLOEXEC);
        if (stale.lock >= 0 && flock(stale.lock, LOCK_EX | LOCK_NB) == 0)
            go_on = visit(data, &stale);
        close_fd(&stale.lock);
    }
    closedir(dir);
}
