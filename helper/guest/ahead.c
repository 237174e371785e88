#include "config.h"

#include "guest/ahead.h"

#include "base/file.h"
#include "base/text.h"
#include "guest/shell.h"

#include <elf.h>
#include <fcntl.h>
#include <limits.h>
#include <link.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Of each file: who has a larger shell waits for the rest of it. */
enum { AHEAD_MAX = 4 * 1024 * 1024, HEADERS_MAX = 64 };

/* Opens it, and has the kernel read it without waiting for that. */
static int fetch(const char *path)
{
    struct stat st;
    cleanup_fd int fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);

    if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
        return -1;
    (void)posix_fadvise(fd, 0, st.st_size < AHEAD_MAX ? st.st_size : AHEAD_MAX,
                        POSIX_FADV_WILLNEED);
    return release_fd(&fd);
}

/* The loader that a program wants: false where it wants none, or is no program. */
static bool loader_of(int fd, char path[PATH_MAX])
{
    ElfW(Ehdr) head;
    ElfW(Phdr) part;

    if (pread(fd, &head, sizeof head, 0) != (ssize_t)sizeof head ||
        memcmp(head.e_ident, ELFMAG, SELFMAG) != 0 || head.e_phentsize != sizeof part)
        return false;
    for (unsigned i = 0; i < head.e_phnum && i < HEADERS_MAX; i++) {
        if (pread(fd, &part, sizeof part, (off_t)(head.e_phoff + i * sizeof part)) !=
            (ssize_t)sizeof part)
            return false;
        if (part.p_type != PT_INTERP)
            continue;
        if (part.p_filesz == 0 || part.p_filesz >= PATH_MAX)
            return false;
        ssize_t n = pread(fd, path, part.p_filesz, (off_t)part.p_offset);
        path[n > 0 ? n : 0] = '\0';
        return path[0] == '/';
    }
    return false;
}

static void run(void)
{
    cleanup_strings struct strings shells = {0};
    char loader[PATH_MAX];
    size_t i = 0;

    if (shell_candidates(&shells, "") < 0)
        return;
    while (i < shells.count && !shell_can_run(shells.items[i]))
        i++;
    cleanup_fd int shell = i < shells.count ? fetch(shells.items[i]) : -1;
    if (shell >= 0 && loader_of(shell, loader)) {
        cleanup_fd int fd = fetch(loader);
        (void)fd;
    }
}

void ahead_start(void)
{
    if (fork() == 0) {
        run();
        _exit(0);
    }
}
