#include "config.h"

#include "policy/network.h"

#include "base/file.h"
#include "base/process.h"
#include "base/runtime.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/nsfs.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum {
    FILE_MAX = 1024,
    /* s; written and named at once. */
    NEW_FILE_AGE = 60,
};

#define NEW_FILE ".new"

#define FORMAT "berth-network 1\nuid=%u\nkey=%s\nprocess=%d %llu\ninode=%llu\nname=%s\n"
#define READ_FORMAT                                                                                \
    "berth-network 1 uid=%10u key=%16[0-9a-z] process=%10d %20llu inode=%20llu name=%256[^\n]%n"

static const struct runtime_folder where = {"networks", 0700};

static bool is_id(const char *id)
{
    return strlen(id) == CONNECTION_CONTAINER_SIZE - 1 &&
           strspn(id, "0123456789abcdef") == CONNECTION_CONTAINER_SIZE - 1;
}

static int open_namespace(pid_t pid, unsigned long long *inode, struct error **err)
{
    char path[64];
    struct stat st;

    snprintf(path, sizeof path, "/proc/%d/ns/net", (int)pid);
    cleanup_fd int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) < 0)
        return error_set(err, errno, "%s: cannot open", path);
    if (ioctl(fd, NS_GET_NSTYPE) != CLONE_NEWNET)
        return error_set(err, 0, "%s is no network", path);
    *inode = st.st_ino;
    return release_fd(&fd);
}

static int file_write(int folder, const struct network *n, struct error **err)
{
    char text[FILE_MAX], temporary[32];
    int len = snprintf(text, sizeof text, FORMAT, (unsigned)n->uid, n->key, (int)n->pid, n->started,
                       n->inode, n->name);

    snprintf(temporary, sizeof temporary, NEW_FILE "%d", (int)getpid());
    (void)unlinkat(folder, temporary, 0); /* of a namesake that was killed */
    cleanup_fd int fd = openat(folder, temporary,
                               O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0 || len >= (int)sizeof text || write(fd, text, (size_t)len) != len ||
        renameat(folder, temporary, folder, n->id) < 0) {
        error_set(err, errno, "cannot note the network of container %.12s", n->id);
        (void)unlinkat(folder, temporary, 0);
        return -1;
    }
    return 0;
}

static bool has_ended(int process)
{
    struct pollfd fd = {.fd = process, .events = POLLIN};

    return poll(&fd, 1, 0) != 0;
}

int network_publish(const char *runtime_dir, struct network *n, int process, struct error **err)
{
    if (!is_id(n->id) || strpbrk(n->name, "\n\r") || !n->name[0])
        return error_set(err, EINVAL, "container %.12s", n->id);
    n->started = process_started(n->pid);
    cleanup_fd int fd = open_namespace(n->pid, &n->inode, err);
    /* Looked at after both: the pid was nobody else's meanwhile. */
    if (has_ended(process)) {
        error_clear(err);
        return error_set_kind(err, ERROR_LOST, "container %.12s has ended", n->id);
    }
    cleanup_fd int folder = fd < 0 ? -1
                                   : runtime_open_roots(runtime_dir, &where, true, O_RDONLY, err);
    return folder < 0 ? -1 : file_write(folder, n, err);
}

static bool file_read(struct network *n, int folder, const char *id)
{
    char text[FILE_MAX];
    unsigned uid;
    int pid, end = 0;
    cleanup_fd int fd = is_id(id) ? openat(folder, id, O_RDONLY | O_NOFOLLOW | O_CLOEXEC) : -1;
    ssize_t len = fd >= 0 ? read(fd, text, sizeof text - 1) : -1;

    *n = (struct network){0};
    if (len <= 0)
        return false;
    text[len] = '\0';
    if (sscanf(text, READ_FORMAT, &uid, n->key, &pid, &n->started, &n->inode, n->name, &end) != 6 ||
        strcmp(text + end, "\n") != 0)
        return false;
    memcpy(n->id, id, sizeof n->id);
    n->uid = uid;
    n->pid = pid;
    return true;
}

bool network_read(struct network *n, const char *runtime_dir, const char *id)
{
    cleanup_error struct error *none = NULL;
    cleanup_fd int folder = runtime_open_roots(runtime_dir, &where, false, O_RDONLY, &none);

    return folder >= 0 && file_read(n, folder, id);
}

static bool lives(const struct network *n)
{
    return n->started != 0 && process_started(n->pid) == n->started;
}

int network_open(const struct network *n, struct error **err)
{
    unsigned long long inode = 0, own = 0;
    cleanup_fd int here = open_namespace(getpid(), &own, err);
    cleanup_fd int fd = here < 0 ? -1 : open_namespace(n->pid, &inode, err);

    if (here < 0)
        return -1;
    /* Looked at after it was opened: it was that process's, whoever has the pid since. One
     * that has ended and isn't reaped yet has none. */
    if (fd < 0 || !lives(n) || inode != n->inode) {
        error_clear(err);
        return error_set_kind(err, ERROR_LOST, "container %.12s has ended", n->id);
    }
    if (inode == own)
        return error_set(err, 0, "container %.12s has no network of its own but this machine's",
                         n->id);
    return release_fd(&fd);
}

void network_forget(const char *runtime_dir, const char *id)
{
    cleanup_error struct error *none = NULL;
    cleanup_fd int folder = runtime_open_roots(runtime_dir, &where, false, O_RDONLY, &none);

    if (folder >= 0 && is_id(id))
        (void)unlinkat(folder, id, 0);
}

/* ".new123", whose writer was killed. */
static bool is_leftover(int folder, const char *name)
{
    struct stat st;

    return strncmp(name, NEW_FILE, strlen(NEW_FILE)) == 0 &&
           fstatat(folder, name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
           time(NULL) - st.st_mtim.tv_sec > NEW_FILE_AGE;
}

static bool is_over(int folder, const char *name)
{
    struct network n;

    return is_id(name) ? !(file_read(&n, folder, name) && lives(&n)) : is_leftover(folder, name);
}

void network_sweep(const char *runtime_dir)
{
    cleanup_error struct error *none = NULL;
    cleanup_fd int folder = runtime_open_roots(runtime_dir, &where, false, O_RDONLY, &none);
    cleanup_fd int copied = folder >= 0 ? fcntl(folder, F_DUPFD_CLOEXEC, 3) : -1;
    DIR *list = copied >= 0 ? fdopendir(copied) : NULL;
    const struct dirent *entry;

    if (!list)
        return;
    (void)release_fd(&copied);
    while ((entry = readdir(list)))
        if (is_over(folder, entry->d_name))
            (void)unlinkat(folder, entry->d_name, 0);
    closedir(list);
}
