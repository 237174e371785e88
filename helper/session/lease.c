#include "config.h"

#include "session/lease.h"

#include "base/file.h"
#include "base/runtime.h"
#include "protocol/message.h"
#include "session/agent.h"
#include "session/x11_place.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

enum { REMOVE_TRIES = 20 };

static void lock_name(char name[32], const char *session)
{
    snprintf(name, 32, "%s.lock", session);
}

int lease_take(struct lease *lease, const char *runtime_dir, uid_t uid, const char *session,
               struct error **err)
{
    *lease = (struct lease){.dir = -1, .lock = -1};
    snprintf(lease->session, sizeof lease->session, "%s", session);
    lease->dir = runtime_open_user(runtime_dir, uid, true, err);
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

bool lease_is_connections(const char *key)
{
    return key[0] == 'n';
}

bool lease_is_shared(const char *key)
{
    return key[0] == 'n' || key[0] == 'u';
}

/* No key at all is a lease's that only looks at the others. */
static int open_lease(struct lease *lease, const char *runtime_dir, uid_t uid, const char *key,
                      bool make, struct error **err)
{
    *lease = (struct lease){.dir = -1, .lock = -1, .make = make};
    snprintf(lease->session, sizeof lease->session, "%s", key);
    lease->dir = runtime_open_user(runtime_dir, uid, make, err);
    return lease->dir < 0 ? -1 : 0;
}

int lease_open(struct lease *lease, const char *runtime_dir, uid_t uid, const char *key,
               struct error **err)
{
    return open_lease(lease, runtime_dir, uid, key, true, err);
}

int lease_find(struct lease *lease, const char *runtime_dir, uid_t uid, const char *key,
               struct error **err)
{
    return open_lease(lease, runtime_dir, uid, key, false, err);
}

/* Who ended the container may have removed the file before we had its lock. */
static bool is_named(int lock)
{
    struct stat st;

    return fstat(lock, &st) == 0 && st.st_nlink > 0;
}

int lease_try(struct lease *lease, bool exclusive, struct error **err)
{
    char name[32];

    lock_name(name, lease->session);
    for (;;) {
        if (lease->lock < 0)
            lease->lock = runtime_open_own(lease->dir, name, O_RDWR | (lease->make ? O_CREAT : 0));
        if (lease->lock < 0)
            return error_set(err, errno, "cannot open %s in the runtime directory", name);
        if (flock(lease->lock, (exclusive ? LOCK_EX : LOCK_SH) | LOCK_NB) < 0) {
            int busy = errno == EWOULDBLOCK || errno == EINTR;
            lease_unlock(lease);
            return busy ? 0
                        : error_set(err, errno, "cannot lock %s in the runtime directory", name);
        }
        if (is_named(lease->lock))
            return 1;
        lease_unlock(lease);
    }
}

int lease_peek(const struct lease *lease)
{
    char name[32];

    lock_name(name, lease->session);
    return runtime_open_own(lease->dir, name, O_RDONLY);
}

/* fcntl(2): locks of the open file, and apart from flock(2). */
static const struct flock keeping = {.l_type = F_WRLCK, .l_whence = SEEK_SET};

bool lease_is_kept(const struct lease *lease)
{
    struct flock lock = keeping;

    return fcntl(lease->lock, F_OFD_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
}

bool lease_keep(struct lease *lease)
{
    struct flock lock = keeping;
    char name[32];

    lock_name(name, lease->session);
    lease_unlock(lease);
    lease->lock = runtime_open_own(lease->dir, name, O_RDWR);
    return lease->lock >= 0 && fcntl(lease->lock, F_OFD_SETLK, &lock) == 0;
}

bool lease_is_there(const struct lease *lease)
{
    struct stat st;
    char name[32];

    lock_name(name, lease->session);
    return fstatat(lease->dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0 || errno != ENOENT;
}

void lease_unlock(struct lease *lease)
{
    close_fd(&lease->lock);
}

int lease_open_folder(const struct lease *lease)
{
    return openat(lease->dir, lease->session, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

int lease_make_folder(const struct lease *lease, struct error **err)
{
    const char *name = lease->session;

    if (mkdirat(lease->dir, name, 0755) < 0 && errno != EEXIST)
        return error_set(err, errno, "cannot make folder %s in the runtime directory", name);
    cleanup_fd int folder = lease_open_folder(lease);
    /* Whatever the umask: the container's uid may be any. */
    if (folder < 0 || fchmod(folder, 0755) < 0)
        return error_set(err, errno, "cannot open folder %s in the runtime directory", name);
    return release_fd(&folder);
}

static DIR *open_list(int dir)
{
    cleanup_fd int fd = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *list = fd >= 0 ? fdopendir(fd) : NULL;

    if (list)
        (void)release_fd(&fd);
    return list;
}

/* Those of killed processes; root does it as well, in a folder that is the user's. */
static void remove_forwards(int folder)
{
    DIR *dir = open_list(folder);
    const struct dirent *entry;

    while (dir && (entry = readdir(dir)))
        if (agent_is_name(entry->d_name) || x11_is_authority(entry->d_name))
            unlinkat(folder, entry->d_name, 0);
    if (dir)
        closedir(dir);
    x11_place_remove(folder);
}

static void remove_folder(const struct lease *lease)
{
    cleanup_fd int folder = lease_open_folder(lease);

    if (folder < 0)
        return;
    unlinkat(folder, START_SOCKET, 0);
    unlinkat(folder, GUEST_SOCKET, 0);
    for (int i = 0; i < REMOVE_TRIES; i++) {
        if (unlinkat(lease->dir, lease->session, AT_REMOVEDIR) == 0 || errno != ENOTEMPTY)
            return;
        /* A session that ends now may make an agent's link once more. */
        if (i > 0)
            pause_ms(1);
        remove_forwards(folder);
    }
}

void lease_end(const struct lease *lease)
{
    char name[32];

    remove_folder(lease);
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
    struct timespec now;

    if (fstat(lease->lock, &st) < 0 || pread(lease->lock, &state, 1, 0) != 1)
        state = '\0';
    /* time(2) can be a tick behind a file's time. */
    clock_gettime(CLOCK_REALTIME, &now);
    *age = (long long)(now.tv_sec - st.st_mtime);
    return state;
}

void lease_close(struct lease *lease)
{
    close_fd(&lease->lock);
    close_fd(&lease->dir);
}

bool lease_is_key(const char *key)
{
    static const char digits[] = "0123456789abcdef";
    size_t digit = key[0] == 'n' || key[0] == 'u';

    if (strcmp(key, "user") == 0)
        return true;
    return strlen(key) == LEASE_SESSION_SIZE - 1 &&
           key[digit + strspn(key + digit, digits)] == '\0';
}

/* "9f8e7d6c5b4a3921.lock" -> its session */
static bool session_of(const char *file, char session[LEASE_SESSION_SIZE])
{
    const char *dot = strrchr(file, '.');
    size_t len = dot ? (size_t)(dot - file) : 0;

    if (len == 0 || len >= LEASE_SESSION_SIZE || strcmp(dot, ".lock") != 0)
        return false;
    memcpy(session, file, len);
    session[len] = '\0';
    return lease_is_key(session);
}

void lease_each_stale(const struct lease *lease, lease_stale *visit, void *data)
{
    DIR *dir = open_list(lease->dir);
    const struct dirent *entry;
    bool go_on = true;

    while (dir && go_on && (entry = readdir(dir))) {
        struct lease stale = {.dir = lease->dir, .lock = -1};
        if (!session_of(entry->d_name, stale.session) || strcmp(stale.session, lease->session) == 0)
            continue;
        stale.lock = runtime_open_own(lease->dir, entry->d_name, O_RDWR);
        if (stale.lock >= 0 && flock(stale.lock, LOCK_EX | LOCK_NB) == 0 && is_named(stale.lock))
            go_on = visit(data, &stale);
        close_fd(&stale.lock);
    }
    if (dir)
        closedir(dir);
}

/* "2001" as lease_open writes it, no "02001" */
static bool uid_of(const char *name, uid_t *uid)
{
    char again[16];
    unsigned long long value = strtoull(name, NULL, 10);

    *uid = (uid_t)value;
    snprintf(again, sizeof again, "%u", (unsigned)*uid);
    return strcmp(again, name) == 0 && *uid != (uid_t)-1;
}

int lease_each_user(const char *runtime_dir, lease_user *visit, void *data, struct error **err)
{
    const struct dirent *entry;
    struct stat st;
    uid_t uid;
    cleanup_fd int top = runtime_open(runtime_dir, err);
    DIR *dir = top >= 0 ? open_list(top) : NULL;

    if (!dir)
        return top < 0 ? -1
                       : error_set(err, errno, "runtime directory %s: cannot read", runtime_dir);
    while ((entry = readdir(dir)))
        if (uid_of(entry->d_name, &uid) &&
            fstatat(top, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(st.st_mode))
            visit(data, uid);
    closedir(dir);
    return 0;
}
