#include "config.h"

#include "policy/xauth.h"

#include "base/file.h"
#include "policy/connection.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define PREFIX "xauth-"

void xauth_name(char name[XAUTH_NAME_SIZE], const char *id)
{
    snprintf(name, XAUTH_NAME_SIZE, PREFIX "%s", id);
}

int xauth_make(int dir, const char *id, struct error **err)
{
    char name[XAUTH_NAME_SIZE];

    xauth_name(name, id);
    cleanup_fd int fd = openat(dir, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
                               0600);
    return fd < 0 ? error_set(err, errno, "cannot make %s", name) : 0;
}

void xauth_remove(int dir, const char *id)
{
    /* Its lock's two, and what becomes the file (XauLockAuth(3), xauth's process.c). */
    static const char *const beside[] = {"", "-c", "-l", "-n"};
    char name[XAUTH_NAME_SIZE], full[XAUTH_NAME_SIZE + 2];

    xauth_name(name, id);
    for (size_t i = 0; i < sizeof beside / sizeof *beside; i++) {
        snprintf(full, sizeof full, "%s%s", name, beside[i]);
        (void)unlinkat(dir, full, 0);
    }
}

/* "xauth-0123456789abcdef", or what is beside it; false where it is no such file. */
static bool id_of(const char *name, char id[CONNECTION_ID_SIZE])
{
    const size_t prefix = sizeof PREFIX - 1, digits = CONNECTION_ID_SIZE - 1;

    if (strncmp(name, PREFIX, prefix) != 0 || strspn(name + prefix, "0123456789abcdef") != digits)
        return false;
    memcpy(id, name + prefix, digits);
    id[digits] = '\0';
    return true;
}

void xauth_sweep(int dir, const char *runtime_dir)
{
    cleanup_fd int fd = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *list = fd >= 0 ? fdopendir(fd) : NULL;
    const struct dirent *entry;
    char id[CONNECTION_ID_SIZE];

    if (!list)
        return;
    (void)release_fd(&fd);
    while ((entry = readdir(list)))
        if (id_of(entry->d_name, id) && connection_is_over(runtime_dir, id))
            xauth_remove(dir, id);
    closedir(list);
}
