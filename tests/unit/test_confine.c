/* What a running session may no longer do: each call in a child that has given it up. */
#include "config.h"

#include "session/filter.h"
#include "session/landlock.h"

#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <netinet/in.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#if defined(__SANITIZE_ADDRESS__) || defined(COVERAGE)
#define INSTRUMENTED 1
#else
#define INSTRUMENTED 0
#endif

/* Returns 0, or errno. */
typedef int attempt(void);

static int result(long rc)
{
    return rc < 0 ? errno : 0;
}

enum { DIED = 1000, NO_MEANS = 201, NO_SETUP = 202 };

/* Whether such a child means anything: a sanitizer or valgrind makes calls of its own
 * in there. */
static bool can_try(void)
{
    const char *preload = getenv("LD_PRELOAD");

    return !INSTRUMENTED && !(preload && strstr(preload, "vgpreload"));
}

/* The call's errno, DIED of SIGSYS, or NO_MEANS. */
static int outcome(pid_t pid)
{
    int status;

    assert_true(pid > 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    if (WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS)
        return DIED;
    if (!WIFEXITED(status) || WEXITSTATUS(status) == NO_SETUP)
        fail_msg("wait status %#x", (unsigned)status);
    return WEXITSTATUS(status);
}

static void prepare(void)
{
    const struct rlimit no_core = {0, 0};

    setrlimit(RLIMIT_CORE, &no_core);
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
}

static int confined(const struct landlock *landlock, attempt *call)
{
    pid_t pid = fork();

    if (pid == 0) {
        struct error *err = NULL;
        bool there;
        prepare();
        if (landlock_confine(landlock, &there, &err) < 0)
            _exit(NO_SETUP);
        _exit(there ? call() : NO_MEANS);
    }
    return outcome(pid);
}

static int filtered(enum filter_way way, attempt *call)
{
    pid_t pid = fork();

    if (pid == 0) {
        struct error *err = NULL;
        bool there;
        prepare();
#ifdef HAVE_SECCOMP
        if (filter_install(way, &there, &err) < 0)
            _exit(NO_SETUP);
#else
        (void)way, (void)err;
        there = false;
#endif
        _exit(there ? call() : NO_MEANS);
    }
    return outcome(pid);
}

static int try_ptrace(void)
{
    return result(ptrace(PTRACE_TRACEME, 0, 0, 0));
}
static int try_exec(void)
{
    char *argv[] = {(char *)"true", NULL}, *env[] = {NULL};

    return result(execve("/bin/true", argv, env));
}
static int try_fork(void)
{
    return result(fork());
}
static int try_vfork_by_clone3(void)
{
    struct {
        uint64_t flags, pidfd, child_tid, parent_tid, exit_signal, rest[3];
    } how = {.exit_signal = SIGCHLD};

    return result(syscall(SYS_clone3, &how, sizeof how));
}
static int try_read_file(void)
{
    return result(open("/etc/passwd", O_RDONLY | O_CLOEXEC));
}
static int try_read_proc(void)
{
    return result(open("/proc/self/cgroup", O_RDONLY | O_CLOEXEC));
}
static int try_write_file(void)
{
    return result(open("/dev/null", O_WRONLY | O_CLOEXEC));
}
static int try_update_file(void)
{
    return result(open("/dev/null", O_RDWR | O_NONBLOCK | O_CLOEXEC));
}
static int try_make_file(void)
{
    return result(open("/tmp/berth-test", O_WRONLY | O_NONBLOCK | O_CREAT | O_CLOEXEC, 0600));
}
static int try_way_back(void)
{
    return result(open("/dev/null", O_WRONLY | O_NONBLOCK | O_CLOEXEC));
}
static int try_unlink(void)
{
    return result(unlink("/tmp/berth-test-not-there"));
}
static int try_mkdir(void)
{
    return result(mkdir("/tmp/berth-test-not-there/x", 0700));
}
static int try_chmod(void)
{
    return result(chmod("/tmp/berth-test-not-there", 0700));
}
static int try_inet(void)
{
    return result(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
}
static int try_unix_stream(void)
{
    return result(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
}
static int try_log(void)
{
    const struct sockaddr_un nobody = {.sun_family = AF_UNIX, .sun_path = "/berth-test-not-there"};
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    return fd < 0 ? errno
           : connect(fd, (const struct sockaddr *)&nobody, sizeof nobody) < 0 && errno == ENOENT
               ? 0
               : errno;
}
static int try_listen(void)
{
    return result(listen(0, 1));
}
static int try_code(void)
{
    return mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1,
                0) == MAP_FAILED
               ? errno
               : 0;
}
static int try_code_later(void)
{
    void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    return page == MAP_FAILED ? errno : result(mprotect(page, 4096, PROT_READ | PROT_EXEC));
}
static int try_kill(void)
{
    return result(kill(getppid(), 0));
}
static int try_peek(void)
{
    return result(syscall(SYS_process_vm_readv, getppid(), NULL, 0UL, NULL, 0UL, 0UL));
}
static int try_typing(void)
{
    return result(ioctl(0, TIOCSTI, "x"));
}
static int try_typing_with_upper_bits(void)
{
    return result(syscall(SYS_ioctl, 0L, 0x100000000L | TIOCSTI, "x"));
}
static int try_becoming_root(void)
{
    return result(setuid(0));
}
static int try_dumpable(void)
{
    return result(prctl(PR_SET_DUMPABLE, 1, 0, 0, 0));
}
static int try_unknown(void)
{
    return result(syscall(4000L));
}

static void on_signal(int number)
{
    (void)number;
}

/* What sessions do, and the C library for them. */
static int try_session(void)
{
    static const struct timespec now[2] = {{.tv_nsec = UTIME_NOW}, {.tv_nsec = UTIME_NOW}};
    static const int one[2] = {100, 101}, two[2] = {102, 103}; /* open_pipes() */
    char byte = 'x';
    struct stat st;
    struct winsize size;
    struct timespec time;
    char *memory = malloc(8 << 20);

    struct pollfd slot = {.fd = two[0], .events = POLLIN};
    if (!memory || write(one[1], &byte, 1) != 1 || fcntl(two[1], F_GETPIPE_SZ) < 0 ||
        fcntl(two[1], F_SETPIPE_SZ, 4096) < 0 ||
        splice(one[0], NULL, two[1], NULL, 1, SPLICE_F_NONBLOCK) != 1 || poll(&slot, 1, -1) != 1 ||
        read(two[0], &byte, 1) != 1 || byte != 'x')
        return errno ? errno : 255;
    memset(memory, 1, 8 << 20);
    free(memory);
    if (fstat(one[0], &st) < 0 || fcntl(one[0], F_GETFL) < 0 || dup2(one[0], 104) != 104 ||
        flock(104, LOCK_EX | LOCK_NB) < 0 || close(104) < 0 ||
        (futimens(one[0], now) < 0 && errno != EPERM) ||
        syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &time) < 0 || getppid() < 0)
        return errno;
    if (ioctl(one[0], TIOCGWINSZ, &size) == 0 || errno == ENOSYS)
        return 255;
    signal(SIGUSR1, on_signal);
    return raise(SIGUSR1) == 0 ? 0 : errno;
}

static void *on_thread(void *data)
{
    *(int *)data = 7;
    return NULL;
}

static int try_thread(void)
{
    pthread_t thread;
    int told = 0;
    int rc = pthread_create(&thread, NULL, on_thread, &told);

    return rc ? rc : pthread_join(thread, NULL) ? 255 : told == 7 ? 0 : 255;
}

struct filter_case {
    const char *name;
    attempt *call;
    int expected[FILTER_COUNT];
};

static const struct filter_case filter_cases[] = {
    {"ptrace", try_ptrace, {DIED, DIED, DIED, DIED, DIED}},
    {"execve", try_exec, {DIED, DIED, DIED, DIED, DIED}},
    {"fork", try_fork, {DIED, DIED, DIED, DIED, DIED}},
    {"clone3", try_vfork_by_clone3, {DIED, DIED, DIED, ENOSYS, DIED}},
    {"read a file", try_read_file, {DIED, DIED, 0, 0, DIED}},
    {"write a file", try_write_file, {DIED, DIED, DIED, DIED, DIED}},
    {"update a file", try_update_file, {DIED, DIED, DIED, DIED, DIED}},
    {"make a file", try_make_file, {DIED, DIED, DIED, DIED, DIED}},
    {"way back", try_way_back, {DIED, 0, DIED, DIED, DIED}},
    {"unlink", try_unlink, {DIED, DIED, DIED, DIED, DIED}},
    {"mkdir", try_mkdir, {DIED, DIED, DIED, DIED, DIED}},
    {"chmod", try_chmod, {ENOSYS, ENOSYS, ENOSYS, ENOSYS, ENOSYS}},
    {"TCP", try_inet, {DIED, DIED, DIED, 0, DIED}},
    {"unix stream", try_unix_stream, {EACCES, EACCES, 0, 0, DIED}},
    {"log", try_log, {0, 0, 0, 0, DIED}},
    {"listen", try_listen, {DIED, DIED, DIED, DIED, DIED}},
    {"code", try_code, {DIED, DIED, DIED, EACCES, DIED}},
    {"code later", try_code_later, {DIED, DIED, DIED, EACCES, DIED}},
    {"kill", try_kill, {DIED, DIED, DIED, DIED, DIED}},
    {"process_vm_readv", try_peek, {DIED, DIED, DIED, DIED, DIED}},
    {"TIOCSTI", try_typing, {DIED, DIED, DIED, DIED, DIED}},
    {"TIOCSTI, upper bits", try_typing_with_upper_bits, {DIED, DIED, DIED, DIED, DIED}},
    {"setuid", try_becoming_root, {DIED, DIED, DIED, DIED, DIED}},
    {"prctl", try_dumpable, {ENOSYS, ENOSYS, ENOSYS, ENOSYS, ENOSYS}},
    {"unknown", try_unknown, {ENOSYS, ENOSYS, ENOSYS, ENOSYS, ENOSYS}},
    {"a session", try_session, {0, 0, 0, 0, ENOSYS}},
    {"thread", try_thread, {DIED, DIED, DIED, 0, DIED}},
};

static void test_filters(void **state)
{
    int bad = 0;

    (void)state;
    if (!can_try())
        skip();
    for (size_t i = 0; i < sizeof filter_cases / sizeof *filter_cases; i++) {
        const struct filter_case *c = &filter_cases[i];
        for (int way = 0; way < FILTER_COUNT; way++) {
            int got = filtered((enum filter_way)way, c->call);
            if (got == NO_MEANS)
                skip(); /* no seccomp in this kernel, or this build */
            if (got != c->expected[way]) {
                print_error("way %d, %s: %d, expected %d\n", way, c->name, got, c->expected[way]);
                bad++;
            }
        }
    }
    assert_int_equal(bad, 0);
}

/* Without the filter these would be what a child gets: the table above tells of the
 * filter, not of this machine. */
static void test_calls_work_without(void **state)
{
    const struct landlock all = {.readable = (const char *const[]){"/"}, .readable_count = 1};

    (void)state;
    if (!can_try())
        skip();
    int got = confined(&all, try_read_file);
    if (got != NO_MEANS)
        assert_int_equal(got, 0);
    assert_int_equal(try_log(), 0);
    assert_int_equal(try_session(), 0);
}

/* The way back to a pipe's writing end (channel/direct.c), opened before. */
static int way_back = -1;

static int try_pipe_again(void)
{
    char path[64];

    snprintf(path, sizeof path, "/proc/self/fd/%d", way_back);
    return result(open(path, O_WRONLY | O_NONBLOCK | O_CLOEXEC));
}

static int try_connect(void)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(9)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return fd < 0 ? errno : result(connect(fd, (const struct sockaddr *)&at, sizeof at));
}

static long landlock_version(void)
{
    return syscall(444L, NULL, 0L, 1L);
}

static void test_landlock(void **state)
{
    static const struct landlock nothing = {0};
    const struct landlock proc = {.readable = (const char *const[]){"/proc", "/not-there"},
                                  .readable_count = 2,
                                  .ports = {9}};
    const struct landlock file = {.readable = (const char *const[]){"/etc/passwd"},
                                  .readable_count = 1};

    (void)state;
    if (!can_try() || landlock_version() < 1)
        skip();
    way_back = open("/proc/self/fd/101", O_PATH | O_CLOEXEC);
    assert_true(way_back >= 0);
    assert_int_equal(confined(&nothing, try_pipe_again), 0);
    assert_int_equal(confined(&nothing, try_session), 0);
    assert_int_equal(confined(&nothing, try_read_file), EACCES);
    assert_int_equal(confined(&nothing, try_write_file), EACCES);
    assert_int_equal(confined(&nothing, try_make_file), EACCES);
    assert_int_equal(confined(&nothing, try_read_proc), EACCES);
    assert_int_equal(confined(&nothing, try_exec), EACCES);
    assert_int_equal(confined(&proc, try_read_proc), 0);
    assert_int_equal(confined(&proc, try_read_file), EACCES);
    assert_int_equal(confined(&file, try_read_file), 0);
    close_fd(&way_back);
    if (landlock_version() < 4)
        return;
    assert_int_equal(confined(&nothing, try_connect), EACCES);
    assert_int_equal(confined(&proc, try_connect), ECONNREFUSED);
    if (landlock_version() >= 6)
        assert_int_equal(confined(&nothing, try_kill), EPERM);
}

/* Descriptors 100 to 103: two pipes, for try_session. */
static int open_pipes(void **state)
{
    int ends[2];

    (void)state;
    for (int at = 100; at < 104; at += 2) {
        if (pipe(ends) < 0 || dup2(ends[0], at) < 0 || dup2(ends[1], at + 1) < 0)
            return -1;
        close(ends[0]);
        close(ends[1]);
    }
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_filters),
        cmocka_unit_test(test_calls_work_without),
        cmocka_unit_test(test_landlock),
    };

    return cmocka_run_group_tests(tests, open_pipes, NULL);
}
