#include "config.h"

#include "policy/connection.h"

#include "base/file.h"
#include "base/process.h"
#include "base/runtime.h"
#include "base/text.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum {
    FILE_MAX = 1024,
    /* Whoever holds the folder does so for microseconds; past that a login goes on. */
    FOLDER_MS = 1000,
    /* s; written and named at once. */
    NEW_FILE_AGE = 60,
};

#define FORMAT   "berth-connection 1\nid=%s\nuid=%u\nsshd=%d %llu\npeer=%s\nname=%s\n"
#define NETWORK  "network=%d %s\n"
#define UNKNOWN  "UNKNOWN"
#define NEW_FILE ".new"

/* "192.0.2.7 50022 192.0.2.1 22" as a file's name; false where it isn't that. Without
 * addresses (sshd on a pipe) all connections would be one. */
static bool file_name(char name[CONNECTION_PEER_SIZE], const char *peer)
{
    static const char good[] = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                               ".:%_- ";
    size_t len = strlen(peer), words = 1;

    if (len >= CONNECTION_PEER_SIZE || strspn(peer, good) != len || peer[0] == '.' ||
        strncmp(peer, UNKNOWN, strlen(UNKNOWN)) == 0)
        return false;
    memcpy(name, peer, len + 1);
    for (char *p = name; *p; p++)
        if (*p == ' ') {
            *p = '_';
            words++;
        }
    return words == 4;
}

/* Logins must find their file in it. */
static const struct runtime_folder where = {CONNECTION_FOLDER, 0711};

static int folder_open(const char *runtime_dir, int flags, struct error **err)
{
    return runtime_open_roots(runtime_dir, &where, false, flags, err);
}

int connection_folder(const char *runtime_dir, struct error **err)
{
    return runtime_open_roots(runtime_dir, &where, true, O_RDONLY, err);
}

/* So that what is looked at is what is removed: one connection at a time changes what
 * is there. Nobody but root can open the folder, and so hold it. */
static bool folder_lock(int folder)
{
    cleanup_error struct error *none = NULL;

    return file_lock(folder, FOLDER_MS, &none) == 0;
}

static void folder_unlock(int folder)
{
    (void)flock(folder, LOCK_UN);
}

static int file_write(int fd, const struct connection *c, struct error **err)
{
    char text[FILE_MAX];
    int len = snprintf(text, sizeof text, FORMAT, c->id, (unsigned)c->uid, (int)c->sshd, c->started,
                       c->peer, c->name);

    if (len > 0 && (size_t)len < sizeof text && c->network_pid > 0)
        len += snprintf(text + len, sizeof text - (size_t)len, NETWORK, (int)c->network_pid,
                        c->network);
    if (len < 0 || (size_t)len >= sizeof text)
        return error_set(err, ENAMETOOLONG, "connection of %s", c->peer);
    /* Whatever the umask: the login must read it. */
    if (write(fd, text, (size_t)len) != len || fchmod(fd, 0644) < 0)
        return error_set(err, errno, "cannot write the file of connection %s", c->peer);
    return 0;
}

static int file_make(int folder, const char *name, const struct connection *c, struct error **err)
{
    char temporary[64];

    snprintf(temporary, sizeof temporary, NEW_FILE "%d", (int)getpid());
    (void)unlinkat(folder, temporary, 0); /* of a namesake that was killed */
    cleanup_fd int fd = openat(folder, temporary,
                               O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return error_set(err, errno, "cannot make the file of connection %s", c->peer);
    int rc = file_write(fd, c, err);
    if (rc == 0 && renameat(folder, temporary, folder, name) < 0)
        rc = error_set(err, errno, "cannot name the file of connection %s", c->peer);
    if (rc < 0)
        (void)unlinkat(folder, temporary, 0);
    return rc;
}

int connection_publish(int folder, const struct connection *c, struct error **err)
{
    char name[CONNECTION_PEER_SIZE];

    if (!file_name(name, c->peer))
        return error_set_kind(err, ERROR_NOT_FOUND, "the connection has no addresses and ports");
    if (c->name[0] == '\0' || strpbrk(c->name, "\n\r"))
        return error_set(err, 0, "a login's name with a line's end, or none");
    (void)folder_lock(folder);
    int rc = file_make(folder, name, c, err);
    folder_unlock(folder);
    return rc;
}

/* Takes "KEY=VALUE\n" off the text: the value, or NULL. */
static char *next_value(char **text, const char *key)
{
    size_t len = strlen(key);
    char *end = *text ? strchr(*text, '\n') : NULL;

    if (!end || strncmp(*text, key, len) != 0)
        return NULL;
    char *value = *text + len;
    *end = '\0';
    *text = end + 1;
    return value;
}

static bool copy(char *to, size_t size, const char *from)
{
    return from && from[0] && (size_t)snprintf(to, size, "%s", from) < size;
}

/* A line that isn't there where sshd is in no container's network. */
static bool parse_network(struct connection *c, char **text)
{
    int pid, end = 0;
    const char *value = next_value(text, "network=");

    if (!value)
        return true;
    if (sscanf(value, "%10d %64[0-9a-f]%n", &pid, c->network, &end) != 2 || value[end] || pid <= 1)
        return false;
    c->network_pid = pid;
    return true;
}

static bool parse(struct connection *c, char *text)
{
    unsigned uid;
    int sshd, end = 0;
    const char *value;

    *c = (struct connection){0};
    if (!next_value(&text, "berth-connection 1") ||
        !copy(c->id, sizeof c->id, next_value(&text, "id=")) ||
        !(value = next_value(&text, "uid=")) || sscanf(value, "%10u%n", &uid, &end) != 1 ||
        value[end] || !(value = next_value(&text, "sshd=")) ||
        sscanf(value, "%10d %20llu%n", &sshd, &c->started, &end) != 2 || value[end])
        return false;
    c->uid = uid;
    c->sshd = sshd;
    return copy(c->peer, sizeof c->peer, next_value(&text, "peer=")) &&
           copy(c->name, sizeof c->name, next_value(&text, "name=")) && parse_network(c, &text) &&
           *text == '\0';
}

static bool file_read(struct connection *c, int folder, const char *name)
{
    char text[FILE_MAX + 1];
    struct stat st;
    cleanup_fd int fd = openat(folder, name,
                               O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);

    if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_uid != 0 ||
        st.st_mode & (S_IWGRP | S_IWOTH))
        return false;
    ssize_t n = read(fd, text, FILE_MAX);
    if (n <= 0 || memchr(text, '\0', (size_t)n))
        return false;
    text[n] = '\0';
    return parse(c, text);
}

/* Whoever /proc hides (hidepid) is there all the same: kill(2) tells. */
static bool sshd_lives(const struct connection *c)
{
    unsigned long long started = process_started(c->sshd);

    if (c->sshd <= 0 || (kill(c->sshd, 0) < 0 && errno == ESRCH))
        return false;
    return started == 0 || started == c->started;
}

void connection_withdraw(int folder, const struct connection *c)
{
    char name[CONNECTION_PEER_SIZE];
    struct connection there;

    if (!file_name(name, c->peer))
        return;
    (void)folder_lock(folder);
    if (file_read(&there, folder, name) && strcmp(there.id, c->id) == 0)
        (void)unlinkat(folder, name, 0);
    folder_unlock(folder);
}

bool connection_read(struct connection *c, const char *runtime_dir, const char *peer, uid_t uid)
{
    char name[CONNECTION_PEER_SIZE];
    cleanup_error struct error *none = NULL;

    if (!file_name(name, peer))
        return false;
    cleanup_fd int folder = folder_open(runtime_dir, O_PATH, &none);
    return folder >= 0 && file_read(c, folder, name) && strcmp(c->peer, peer) == 0 &&
           c->uid == uid && sshd_lives(c);
}

static bool is_dead(int folder, const char *name)
{
    struct connection c;

    return file_read(&c, folder, name) && !sshd_lives(&c);
}

/* ".new123", which its writer would have named long ago. The pid tells nothing:
 * another sshd may have it by now. */
static bool is_leftover(int folder, const char *name)
{
    struct stat st;

    return strncmp(name, NEW_FILE, strlen(NEW_FILE)) == 0 &&
           fstatat(folder, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode) &&
           st.st_uid == 0 && time(NULL) - st.st_mtim.tv_sec > NEW_FILE_AGE;
}

static bool is_over(int folder, const char *name)
{
    return name[0] == '.' ? is_leftover(folder, name) : is_dead(folder, name);
}

static void sweep_one(int folder, const char *name)
{
    /* Seen again by the folder's holder: the next connection may have the same name. */
    if (!is_over(folder, name) || !folder_lock(folder))
        return;
    if (is_over(folder, name))
        (void)unlinkat(folder, name, 0);
    folder_unlock(folder);
}

/* The folder's names, by a descriptor of their own. */
static DIR *folder_list(int folder)
{
    cleanup_fd int copied = folder >= 0 ? fcntl(folder, F_DUPFD_CLOEXEC, 3) : -1;
    DIR *list = copied >= 0 ? fdopendir(copied) : NULL;

    if (list)
        (void)release_fd(&copied);
    return list;
}

static bool find(struct connection *c, DIR *list, int folder, const char *id)
{
    const struct dirent *entry;

    while ((entry = readdir(list)))
        if (file_read(c, folder, entry->d_name) && strcmp(c->id, id) == 0 && sshd_lives(c))
            return true;
    return false;
}

bool connection_find(struct connection *c, const char *runtime_dir, const char *id, uid_t uid)
{
    cleanup_error struct error *none = NULL;
    cleanup_fd int folder = folder_open(runtime_dir, O_RDONLY, &none);
    DIR *list = folder_list(folder);
    bool found = list && find(c, list, folder, id) && c->uid == uid;

    if (list)
        closedir(list);
    return found;
}

bool connection_is_over(const char *runtime_dir, const char *id)
{
    cleanup_error struct error *none = NULL;
    cleanup_fd int folder = folder_open(runtime_dir, O_RDONLY, &none);
    DIR *list = folder_list(folder);
    struct connection c;

    if (!list)
        return none && error_kind(none) == ERROR_NOT_FOUND;
    bool lives = find(&c, list, folder, id);
    closedir(list);
    return !lives;
}

void connection_sweep(const char *runtime_dir)
{
    cleanup_error struct error *none = NULL;
    cleanup_fd int folder = folder_open(runtime_dir, O_RDONLY, &none);
    DIR *list = folder_list(folder);
    const struct dirent *entry;

    if (!list)
        return;
    while ((entry = readdir(list)))
        sweep_one(folder, entry->d_name);
    closedir(list);
}
