#include "config.h"

#include "session/x11_place.h"

#include "base/file.h"
#include "channel/guest.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <syslog.h>
#include <unistd.h>

enum { BACKLOG = 128 /* as sshd's own */ };

/* Names in the folder: ".SESSION" is the session's socket, "X10" a second name of it, and
 * what ends in '~' is on its way from one to the other. */
struct names {
    char own[X11_NAME_SIZE], aside[X11_NAME_SIZE], display[X11_NAME_SIZE];
};

static struct names names_of(const char *session, unsigned number)
{
    struct names names;

    snprintf(names.own, sizeof names.own, ".%s", session);
    snprintf(names.aside, sizeof names.aside, ".%s~", session);
    snprintf(names.display, sizeof names.display, "X%u", number);
    return names;
}

void x11_authority_name(char name[X11_NAME_SIZE], const char *session)
{
    snprintf(name, X11_NAME_SIZE, X11_AUTHORITY "%s", session);
}

bool x11_is_authority(const char *name)
{
    return strncmp(name, X11_AUTHORITY, sizeof X11_AUTHORITY - 1) == 0;
}

static int open_folder(int folder)
{
    return openat(folder, X11_FOLDER, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

int x11_place_make(int folder, struct error **err)
{
    if (mkdirat(folder, X11_FOLDER, 0755) < 0 && errno != EEXIST)
        return error_set(err, errno, "cannot make the folder \"" X11_FOLDER "\"");
    cleanup_fd int made = open_folder(folder);
    /* Whatever the umask: the container's uid may be any. */
    if (made < 0 || fchmod(made, 0755) < 0)
        return error_set(err, errno, "cannot open the folder \"" X11_FOLDER "\"");
    return 0;
}

static bool is_session(const char *name)
{
    return name[0] == '.' && name[1] && strcmp(name, "..") != 0;
}

/* For each socket in the folder. */
typedef void visit_socket(int place, const char *name, const char *session);
static void each(int place, visit_socket *visit, const char *session)
{
    cleanup_fd int fd = openat(place, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
    const struct dirent *entry;

    if (!dir)
        return;
    (void)release_fd(&fd);
    while ((entry = readdir(dir)))
        if (entry->d_name[0] == 'X' || is_session(entry->d_name))
            visit(place, entry->d_name, session);
    closedir(dir);
}

static void remove_one(int place, const char *name, const char *session)
{
    (void)session;
    unlinkat(place, name, 0);
}

/* Root does it as well, in a folder that is the user's. */
void x11_place_remove(int folder)
{
    cleanup_fd int place = open_folder(folder);

    if (place < 0)
        return;
    each(place, remove_one, "");
    unlinkat(folder, X11_FOLDER, AT_REMOVEDIR);
}

static bool is_same(int place, const char *a, const char *b)
{
    struct stat one, other;

    return fstatat(place, a, &one, AT_SYMLINK_NOFOLLOW) == 0 &&
           fstatat(place, b, &other, AT_SYMLINK_NOFOLLOW) == 0 && one.st_ino == other.st_ino;
}

/* Where nobody listens any more: it was killed. */
static bool is_dead(int place, const char *name)
{
    struct sockaddr_un at;
    cleanup_fd int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    guest_address(&at, place, name);
    return fd >= 0 && connect(fd, (const struct sockaddr *)&at, sizeof at) < 0 &&
           errno == ECONNREFUSED;
}

/* Another session may give the name to its own socket at any time: what is looked at is
 * moved out of the way first, and put back where it isn't what was meant. */
static void take_away(int place, const struct names *names, const char *display, bool dead)
{
    if (renameat(place, display, place, names->aside) < 0)
        return;
    bool meant = dead ? is_dead(place, names->aside) : is_same(place, names->aside, names->own);
    /* By now the name may have a third one's. */
    if (!meant && linkat(place, names->aside, place, display, 0) < 0 && errno != EEXIST)
        syslog(LOG_WARNING, "cannot put back socket %s of a display: %m", display);
    unlinkat(place, names->aside, 0);
}

static void remove_dead(int place, const char *name, const char *session)
{
    const struct names names = names_of(session, 0);

    if (name[strlen(name) - 1] == '~' || !is_dead(place, name))
        return;
    if (name[0] == 'X')
        take_away(place, &names, name, true);
    else
        unlinkat(place, name, 0);
}

static int make_socket(int place, const struct names *names)
{
    struct sockaddr_un at;
    cleanup_fd int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    guest_address(&at, place, names->aside);
    /* Its names come last: one that isn't listened on is a dead one's. */
    if (fd < 0 || bind(fd, (const struct sockaddr *)&at, sizeof at) < 0 ||
        fchmodat(place, names->aside, 0666, 0) < 0 || listen(fd, BACKLOG) < 0 ||
        renameat(place, names->aside, place, names->own) < 0 ||
        linkat(place, names->own, place, names->aside, 0) < 0 ||
        renameat(place, names->aside, place, names->display) < 0)
        return -1;
    return release_fd(&fd);
}

static int write_authority(int folder, const char *session, const struct x11 *x11,
                           struct error **err)
{
    unsigned char entry[XAUTHORITY_ENTRY_MAX];
    char name[X11_NAME_SIZE];
    size_t len = xauthority_write(entry, x11->number, &x11->cookie);

    x11_authority_name(name, session);
    unlinkat(folder, name, 0);
    cleanup_fd int fd = openat(folder, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
                               0600);
    if (fd < 0 || write(fd, entry, len) != (ssize_t)len || fchmod(fd, 0644) < 0)
        return error_set(err, errno, "cannot write \"%s\"", name);
    return 0;
}

int x11_listen(int folder, const char *session, const struct x11 *x11, struct error **err)
{
    const struct names names = names_of(session, x11->number);
    cleanup_fd int place = open_folder(folder);

    if (place < 0)
        return error_set(err, errno, "the folder \"" X11_FOLDER "\"");
    each(place, remove_dead, session);
    if (write_authority(folder, session, x11, err) < 0)
        return -1;
    int fd = make_socket(place, &names);
    if (fd < 0) {
        error_set(err, errno, "cannot make the socket \"%s\"", names.display);
        x11_withdraw(folder, session, x11);
    }
    return fd;
}

void x11_withdraw(int folder, const char *session, const struct x11 *x11)
{
    const struct names names = names_of(session, x11->number);
    char authority[X11_NAME_SIZE];
    cleanup_fd int place = open_folder(folder);

    x11_authority_name(authority, session);
    unlinkat(folder, authority, 0);
    if (place < 0)
        return;
    take_away(place, &names, names.display, false);
    unlinkat(place, names.own, 0);
    unlinkat(place, names.aside, 0);
}
