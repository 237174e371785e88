/* A process in a container that means harm to the guest: run as `hostile WHAT ...`
 * by test_direct.py, which builds it. Says on stdout what it could do; prints
 * nothing that isn't so. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

/* protocol/message.h's MESSAGE_VERSION. */
enum { VERSION = 2 };
/* And its types, both sides', and some that are none. */
static const char types[] = "HLGSTKWXEQ\0\xff";

static int reach(const char *path)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    snprintf(at.sun_path, sizeof at.sun_path, "%s", path);
    if (fd >= 0 && connect(fd, (struct sockaddr *)&at, sizeof at) < 0) {
        int saved = errno;
        close(fd);
        errno = saved;
        return -1;
    }
    return fd;
}

/* Some bytes and `fds` descriptors; whatever comes back is counted. */
static size_t provoke(const char *path, const void *bytes, size_t len, int fds)
{
    union {
        char room[CMSG_SPACE(8 * sizeof(int))];
        struct cmsghdr align;
    } control = {0};
    struct iovec iov = {(void *)bytes, len};
    struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};
    int fd = reach(path), passed[8] = {0, 1, 2, 0, 1, 2, 0, 1};
    char answer[4096];
    size_t answered = 0;

    if (fd < 0)
        return 0;
    if (fds > 0) {
        m.msg_control = control.room;
        m.msg_controllen = CMSG_SPACE((size_t)fds * sizeof(int));
        struct cmsghdr *c = CMSG_FIRSTHDR(&m);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN((size_t)fds * sizeof(int));
        memcpy(CMSG_DATA(c), passed, (size_t)fds * sizeof(int));
    }
    (void)sendmsg(fd, &m, MSG_NOSIGNAL | MSG_DONTWAIT);
    struct pollfd wait = {.fd = fd, .events = POLLIN};
    while (poll(&wait, 1, 100) > 0) {
        ssize_t n = recv(fd, answer, sizeof answer, MSG_DONTWAIT);
        if (n <= 0)
            break;
        answered += (size_t)n;
    }
    close(fd);
    return answered;
}

static int garbage(const char *path)
{
    unsigned char bytes[65536];
    size_t answered = 0;
    unsigned seed = 1;

    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (unsigned char)((seed = seed * 1103515245 + 12345) >> 16);
    answered += provoke(path, bytes, sizeof bytes, 0);
    for (size_t i = 0; i < sizeof types; i++)
        for (int fds = 0; fds <= 8; fds += fds < 4 ? 1 : 4) {
            unsigned char header[12] = {VERSION, (unsigned char)types[i], (unsigned char)fds};
            for (unsigned length = 0; length < 3; length++) {
                static const unsigned char lengths[3][4] = {
                    {0, 0, 0, 0}, {0, 0, 0, 4}, {255, 255, 255, 255}};
                memcpy(header + 4, lengths[length], 4);
                answered += provoke(path, header, 8 + (length == 1 ? 4 : 0), fds);
            }
            answered += provoke(path, header, 3, fds);
        }
    return printf("answered %zu\n", answered) < 0;
}

/* `count` connections, held until stdin ends. */
static int flood(const char *path, long count)
{
    struct rlimit files;
    long made = 0;
    char c;

    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    for (long i = 0; i < count; i++) {
        int fd = reach(path);
        if (fd >= 0)
            made++;
        else if (errno == EMFILE)
            break;
    }
    printf("tried %ld\n", made);
    fflush(stdout);
    while (read(0, &c, 1) > 0)
        ;
    return 0;
}

static void tell(const char *what, int worked)
{
    if (worked)
        printf("%s worked\n", what);
}

/* All that would let a process look into process 1, or steer it. */
static int look(void)
{
    char byte;
    struct iovec here = {&byte, 1}, there = {(void *)0x400000, 1};
    char path[32];

    tell("ptrace attach", ptrace(PTRACE_ATTACH, 1, 0, 0) == 0);
    tell("ptrace seize", ptrace(PTRACE_SEIZE, 1, 0, 0) == 0);
    tell("mem", open("/proc/1/mem", O_RDWR) >= 0 || open("/proc/1/mem", O_RDONLY) >= 0);
    for (int i = 0; i < 64; i++) {
        snprintf(path, sizeof path, "/proc/1/fd/%d", i);
        tell(path, open(path, O_RDONLY | O_NONBLOCK) >= 0 || readlink(path, &byte, 1) >= 0);
    }
    tell("environ", open("/proc/1/environ", O_RDONLY) >= 0 &&
                        read(open("/proc/1/environ", O_RDONLY), &byte, 1) > 0);
    tell("cwd", open("/proc/1/cwd", O_PATH) >= 0 && open("/proc/1/root/etc", O_RDONLY) >= 0);
    tell("process_vm_readv", process_vm_readv(1, &here, 1, &there, 1, 0) > 0);
#ifdef SYS_pidfd_getfd
    long pidfd = syscall(SYS_pidfd_open, 1, 0);
    for (int i = 0; i < 10; i++)
        tell("pidfd_getfd", pidfd >= 0 && syscall(SYS_pidfd_getfd, (int)pidfd, i, 0) >= 0);
#endif
    return puts("looked") < 0;
}

static int kill_guest(void)
{
    static const int signals[] = {SIGTERM, SIGINT,  SIGHUP,   SIGQUIT, SIGUSR1, SIGUSR2, SIGALRM,
                                  SIGPIPE, SIGSEGV, SIGABRT,  SIGBUS,  SIGCHLD, SIGCONT, SIGTSTP,
                                  SIGSTOP, SIGKILL, SIGWINCH, SIGTTOU, SIGIO,   SIGSYS};

    for (int round = 0; round < 100; round++)
        for (size_t i = 0; i < sizeof signals / sizeof *signals; i++)
            kill(1, signals[i]);
    for (int i = SIGRTMIN; i <= SIGRTMAX; i++) {
        union sigval value = {.sival_int = 1};
        sigqueue(1, i, value);
    }
    return puts("killed") < 0;
}

/* prlimit(2) asks for no more than the same uids and gids. */
static int limit_guest(void)
{
    static const struct rlimit none = {0, 0};

    puts(prlimit(1, RLIMIT_NOFILE, &none, NULL) == 0 ? "limited" : strerror(errno));
    return 0;
}

int main(int argc, char **argv)
{
    const char *what = argc > 1 ? argv[1] : "";

    if (strcmp(what, "garbage") == 0 && argc == 3)
        return garbage(argv[2]);
    if (strcmp(what, "flood") == 0 && argc == 4)
        return flood(argv[2], atol(argv[3]));
    if (strcmp(what, "look") == 0)
        return look();
    if (strcmp(what, "kill") == 0)
        return kill_guest();
    if (strcmp(what, "limit") == 0)
        return limit_guest();
    /* As a shell: what it was called with. */
    for (int i = 0; i < argc; i++)
        printf("[%s]", argv[i]);
    puts("");
    return 7;
}
