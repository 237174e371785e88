#include "config.h"

#include "base/process.h"

#include "base/file.h"

#include <fcntl.h>
#include <malloc.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef SYS_pidfd_open
#define SYS_pidfd_open 434
#endif

#ifndef SYS_pidfd_send_signal
#define SYS_pidfd_send_signal 424
#endif

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

/* linux/pidfd.h of 6.15, which may be newer than the headers here. */
struct info {
    uint64_t mask;
    uint64_t cgroupid;
    uint32_t ids[11];
    int32_t exit_code;
};
#define INFO_EXIT (UINT64_C(1) << 3)
#define GET_INFO  _IOWR(0xff, 11, struct info)

static enum process_place place_of(pid_t pid, const char *cgroup)
{
    char path[64], text[4096];

    snprintf(path, sizeof path, "/proc/%d/cgroup", (int)pid);
    cleanup_fd int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd >= 0 ? read(fd, text, sizeof text - 1) : -1;
    if (n <= 0)
        return PROCESS_HIDDEN;
    text[n] = '\0';
    return strstr(text, cgroup) ? PROCESS_THERE : PROCESS_ELSEWHERE;
}

int process_open(pid_t pid, const char *cgroup, enum process_place *place)
{
    int fd = (int)syscall(SYS_pidfd_open, pid, 0);

    if (place)
        *place = fd >= 0 && cgroup[0] ? place_of(pid, cgroup) : PROCESS_ELSEWHERE;
    return fd;
}

unsigned long long process_started(pid_t pid)
{
    char path[64], text[1024];
    unsigned long long ticks;

    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    cleanup_fd int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd >= 0 ? read(fd, text, sizeof text - 1) : -1;
    if (n <= 0)
        return 0;
    text[n] = '\0';
    /* The name, which may hold anything, stands in brackets; the start is field 22. */
    const char *field = strrchr(text, ')');
    for (int i = 2; field && i < 22; i++)
        field = strchr(field + 1, ' ');
    return field && sscanf(field, " %llu", &ticks) == 1 ? ticks : 0;
}

bool process_has_ended(int pidfd)
{
    struct pollfd fd = {.fd = pidfd, .events = POLLIN};

    return poll(&fd, 1, 0) > 0;
}

int process_signal(int pidfd, int number)
{
    return (int)syscall(SYS_pidfd_send_signal, pidfd, number, NULL, 0);
}

bool process_status(pid_t pid, uid_t *uid, pid_t *parent)
{
    char path[64], text[1024];
    unsigned owner;
    int number;

    snprintf(path, sizeof path, "/proc/%d/status", (int)pid);
    cleanup_fd int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd >= 0 ? read(fd, text, sizeof text - 1) : -1;
    if (n <= 0)
        return false;
    text[n] = '\0';
    /* The name in the first line is the process's choice; a newline in it is escaped. */
    const char *at = strstr(text, "\nPPid:"), *of = strstr(text, "\nUid:");
    if (!at || !of || sscanf(at, "\nPPid: %d", &number) != 1 ||
        sscanf(of, "\nUid: %u", &owner) != 1)
        return false;
    *parent = number;
    *uid = owner;
    return true;
}

bool process_exit_status(int pidfd, int *wait_status)
{
    struct info info = {.mask = INFO_EXIT};

    if (ioctl(pidfd, GET_INFO, &info) < 0 || !(info.mask & INFO_EXIT))
        return false;
    *wait_status = info.exit_code;
    return true;
}

void process_expect(size_t bytes)
{
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    char *block = malloc(bytes + page);

    /* Its first page is touched by malloc() itself. A kernel before 5.14 doesn't know it. */
    if (block)
        (void)madvise((void *)(((uintptr_t)block | (page - 1)) + 1), bytes & ~(page - 1),
                      MADV_POPULATE_WRITE);
    free(block);
}

void process_trim(void)
{
    enum { STACK = 64 * 1024 };
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    /* One page is left below this frame, for the red zone and what madvise(2) needs. */
    uintptr_t end = ((uintptr_t)__builtin_frame_address(0) & ~(page - 1)) - page;

    malloc_trim(0);
    /* The stack's pages from deeper calls are zeroed when they are used again. */
    (void)madvise((void *)(end - STACK), STACK, MADV_DONTNEED);
}
