/* Makes filter_programs.h on the machine that berth is built on: the programs of
 * filter.c, for the machine that it is to run on (the one argument, as libseccomp
 * names it; none: this one).
 *
 * What is allowed is what strace(1) showed of all kinds of sessions over all
 * channels, and what the C library may put in a call's place. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <seccomp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <termios.h>
#include <unistd.h>

/* Those that all sessions have. */
static const char *const common[] = {
    "_llseek",
    "brk",
    "clock_gettime",
    "clock_gettime64",
    "clock_nanosleep",
    "clock_nanosleep_time64",
    "close",
    "connect",
    "dup2",
    "dup3",
    "epoll_pwait",
    "epoll_wait",
    "exit",
    "exit_group",
    "fcntl",
    "fcntl64",
    "flock",
    "fstat",
    "fstat64",
    "fstatat64",
    "futex",
    "futex_time64",
    "getpid",
    "getppid",
    "getrandom",
    "getsockopt",
    "gettid",
    "gettimeofday",
    "getuid",
    "lseek",
    "madvise",
    "mremap",
    "munmap",
    "nanosleep",
    "newfstatat",
    "poll",
    "ppoll",
    "ppoll_time64",
    "pread64",
    "pwrite64",
    "read",
    "readv",
    "recvfrom",
    "recvmsg",
    "restart_syscall",
    "rt_sigaction",
    "rt_sigprocmask",
    "rt_sigreturn",
    "sendmsg",
    "sendto",
    "setitimer",
    "shutdown",
    "sigreturn",
    "splice",
    "statx",
    "tgkill",
    "write",
    "writev",
};

/* libcurl's, for a connection to the engine. */
static const char *const engine[] = {"getpeername", "getsockname", "pidfd_open", "setsockopt",
                                     "uname"};

/* And where a name is resolved, in a thread, and TLS is begun. */
static const char *const resolver[] = {
    "access",
    "bind",
    "eventfd2",
    "faccessat",
    "faccessat2",
    "getdents64",
    "gettimeofday",
    "pipe2",
    "readlink",
    "readlinkat",
    "recvmmsg",
    "rseq",
    "sched_getaffinity",
    "sched_yield",
    "sendmmsg",
    "set_robust_list",
    "socketpair",
    "stat",
    "stat64",
    "sysinfo",
};

/* All that a relay has (channel/forward.c): its connections to sshd are made for it. */
static const char *const relay[] = {
    "accept4",         "brk",          "close",          "exit",         "exit_group", "futex",
    "futex_time64",    "getpid",       "getrandom",      "gettid",       "madvise",    "mremap",
    "munmap",          "poll",         "ppoll",          "ppoll_time64", "read",       "recvmsg",
    "restart_syscall", "rt_sigaction", "rt_sigprocmask", "rt_sigreturn", "sendto",     "shutdown",
    "sigreturn",       "tgkill",       "write",          "writev",
};

/* And what it would call who has taken it over; for a session there are rules. */
static const char *const deadly_for_relay[] = {"bind",   "clone",   "clone3",   "connect", "ioctl",
                                               "openat", "sendmsg", "sendmmsg", "socket"};

/* What nobody in here calls, and who has taken it over would. Others that aren't
 * listed fail as well; each that is makes a session's start a little longer. */
static const char *const deadly[] = {
    "creat",
    "execve",
    "execveat",
    "fork",
    "io_uring_setup",
    "kill",
    "link",
    "linkat",
    "listen",
    "mkdir",
    "mkdirat",
    "mknod",
    "mknodat",
    "open",
    "open_by_handle_at",
    "openat2",
    "pidfd_getfd",
    "process_vm_readv",
    "process_vm_writev",
    "ptrace",
    "rename",
    "renameat",
    "renameat2",
    "setuid",
    "symlink",
    "symlinkat",
    "unlink",
    "unlinkat",
    "vfork",
};

/* All but TIOCSTI, which would type for the user. PIDFD_GET_INFO is of Linux 6.13,
 * with whatever size. */
static const uint32_t terminal_calls[] = {TCGETS,     TCSETS,     TCSETSW,  TCSETSF,
                                          TIOCGWINSZ, TIOCSWINSZ, TIOCGPTN, FIONBIO};
enum { PIDFD_GET_INFO_NUMBER = 0xff0b, IOCTL_NUMBER_MASK = 0xffff };

/* Bits of openat's flags by which it writes, or makes something. The last is
 * __O_TMPFILE. */
static const uint32_t writes[] = {O_WRONLY, O_RDWR, O_CREAT, O_TRUNC, O_TMPFILE & ~O_DIRECTORY};
#define WRITES (O_WRONLY | O_RDWR | O_CREAT | O_TRUNC | (O_TMPFILE & ~O_DIRECTORY))

struct program {
    const char *name;
    bool back, engine, resolver;
};

/* As enum filter_way. */
static const struct program programs[] = {
    {"direct", false, false, false},
    {"direct_back", true, false, false},
    {"engine_here", false, true, false},
    {"engine_there", false, true, true},
};

/* The last one (FILTER_RELAY), which has nothing of theirs. */
static const struct program relay_program = {"relay", false, false, false};

static void check(int rc, const char *what)
{
    if (rc >= 0)
        return;
    fprintf(stderr, "filter-program: %s: %s\n", what, strerror(-rc));
    exit(1);
}

/* What a machine doesn't have, nobody calls there. */
static void rule(scmp_filter_ctx ctx, uint32_t action, const char *name, unsigned count,
                 const struct scmp_arg_cmp *args)
{
    int number = seccomp_syscall_resolve_name(name);

    if (number != __NR_SCMP_ERROR)
        check(seccomp_rule_add_array(ctx, action, number, count, args), name);
}

static void rules(scmp_filter_ctx ctx, uint32_t action, const char *const *names, size_t count)
{
    for (size_t i = 0; i < count; i++)
        rule(ctx, action, names[i], 0, NULL);
}

/* Only those bits of the argument that the kernel looks at: of an int's upper half
 * it doesn't. */
static void rule_bits(scmp_filter_ctx ctx, uint32_t action, const char *name, unsigned arg,
                      uint32_t mask, uint32_t value)
{
    const struct scmp_arg_cmp one = SCMP_CMP(arg, SCMP_CMP_MASKED_EQ, mask, value);

    rule(ctx, action, name, 1, &one);
}

static void rules_ioctl(scmp_filter_ctx ctx)
{
    for (size_t i = 0; i < sizeof terminal_calls / sizeof *terminal_calls; i++)
        rule_bits(ctx, SCMP_ACT_ALLOW, "ioctl", 1, UINT32_MAX, terminal_calls[i]);
    rule_bits(ctx, SCMP_ACT_ALLOW, "ioctl", 1, IOCTL_NUMBER_MASK, PIDFD_GET_INFO_NUMBER);
    rule_bits(ctx, SCMP_ACT_KILL_PROCESS, "ioctl", 1, UINT32_MAX, TIOCSTI);
}

static void rules_openat(scmp_filter_ctx ctx, const struct program *program)
{
    if (!program->back && !program->engine) {
        rule(ctx, SCMP_ACT_KILL_PROCESS, "openat", 0, NULL);
        return;
    }
    for (size_t i = 0; i < sizeof writes / sizeof *writes; i++)
        if (!program->back || writes[i] != O_WRONLY)
            rule_bits(ctx, SCMP_ACT_KILL_PROCESS, "openat", 2, writes[i], writes[i]);
    if (program->engine) {
        rule_bits(ctx, SCMP_ACT_ALLOW, "openat", 2, WRITES, O_RDONLY);
        return;
    }
    /* DIRECT_BACK_FLAGS */
    rule_bits(ctx, SCMP_ACT_ALLOW, "openat", 2, WRITES | O_NONBLOCK, O_WRONLY | O_NONBLOCK);
    rule_bits(ctx, SCMP_ACT_KILL_PROCESS, "openat", 2, O_WRONLY, 0);
    rule_bits(ctx, SCMP_ACT_KILL_PROCESS, "openat", 2, O_NONBLOCK, 0);
}

static void rule_socket(scmp_filter_ctx ctx, uint32_t action, int domain, int type)
{
    const struct scmp_arg_cmp args[] = {
        SCMP_CMP(0, SCMP_CMP_MASKED_EQ, UINT32_MAX, (uint32_t)domain),
        SCMP_CMP(1, SCMP_CMP_MASKED_EQ, ~(uint32_t)(SOCK_CLOEXEC | SOCK_NONBLOCK), (uint32_t)type)};

    rule(ctx, action, "socket", 2, args);
}

/* syslog(3) connects anew when the daemon was started again: by datagrams. One that
 * takes a stream alone isn't spoken to then, for the engine takes such a one too. */
static void rules_socket(scmp_filter_ctx ctx, const struct program *program)
{
    const struct scmp_arg_cmp other = SCMP_CMP(0, SCMP_CMP_NE, AF_UNIX, 0);

    if (program->resolver) {
        rule(ctx, SCMP_ACT_ALLOW, "socket", 0, NULL);
        return;
    }
    rule_socket(ctx, SCMP_ACT_ALLOW, AF_UNIX, SOCK_DGRAM);
    rule_socket(ctx, program->engine ? SCMP_ACT_ALLOW : SCMP_ACT_ERRNO(EACCES), AF_UNIX,
                SOCK_STREAM);
    rule(ctx, SCMP_ACT_KILL_PROCESS, "socket", 1, &other);
}

static void rules_memory(scmp_filter_ctx ctx, const struct program *program)
{
    static const char *const names[] = {"mmap", "mmap2", "mprotect"};
    /* A resolver's module may be loaded late: then it isn't. */
    uint32_t not_allowed = program->resolver ? SCMP_ACT_ERRNO(EACCES) : SCMP_ACT_KILL_PROCESS;

    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        rule_bits(ctx, SCMP_ACT_ALLOW, names[i], 2, PROT_EXEC, 0);
        rule_bits(ctx, not_allowed, names[i], 2, PROT_EXEC, PROT_EXEC);
    }
}

static void rules_clone(scmp_filter_ctx ctx, const struct program *program)
{
    if (!program->resolver) {
        rule(ctx, SCMP_ACT_KILL_PROCESS, "clone", 0, NULL);
        rule(ctx, SCMP_ACT_KILL_PROCESS, "clone3", 0, NULL);
        return;
    }
    /* clone3's flags are in memory; without it the C library takes clone. */
    rule_bits(ctx, SCMP_ACT_ALLOW, "clone", 0, CLONE_THREAD, CLONE_THREAD);
    rule_bits(ctx, SCMP_ACT_KILL_PROCESS, "clone", 0, CLONE_THREAD, 0);
}

static void rules_utimensat(scmp_filter_ctx ctx)
{
    /* futimens(3) */
    const struct scmp_arg_cmp no_path = SCMP_CMP(1, SCMP_CMP_EQ, 0, 0);
    const struct scmp_arg_cmp path = SCMP_CMP(1, SCMP_CMP_NE, 0, 0);

    rule(ctx, SCMP_ACT_ALLOW, "utimensat", 1, &no_path);
    rule(ctx, SCMP_ACT_KILL_PROCESS, "utimensat", 1, &path);
    rule(ctx, SCMP_ACT_ALLOW, "utimensat_time64", 1, &no_path);
    rule(ctx, SCMP_ACT_KILL_PROCESS, "utimensat_time64", 1, &path);
}

#define RULES(ctx, action, names) rules(ctx, action, names, sizeof(names) / sizeof *(names))

static void print(scmp_filter_ctx ctx, const char *name)
{
    struct {
        uint16_t code;
        uint8_t jt, jf;
        uint32_t k;
    } line;
    FILE *file = tmpfile();

    if (!file)
        check(-errno, "tmpfile");
    check(seccomp_export_bpf(ctx, fileno(file)), "export");
    rewind(file);
    printf("static const struct sock_filter filter_%s[] = {\n", name);
    while (fread(&line, sizeof line, 1, file) == 1)
        printf("    {0x%02x, %u, %u, 0x%08x},\n", line.code, line.jt, line.jf, line.k);
    printf("};\n");
    fclose(file);
}

static void rules_session(scmp_filter_ctx ctx, const struct program *program)
{
    RULES(ctx, SCMP_ACT_ALLOW, common);
    if (program->engine)
        RULES(ctx, SCMP_ACT_ALLOW, engine);
    if (program->resolver)
        RULES(ctx, SCMP_ACT_ALLOW, resolver);
    rules_ioctl(ctx);
    rules_openat(ctx, program);
    rules_socket(ctx, program);
    rules_clone(ctx, program);
    rules_utimensat(ctx);
}

static void make(const struct program *program, uint32_t arch)
{
    scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_ERRNO(ENOSYS));

    if (!ctx)
        check(-ENOMEM, "init");
    check(seccomp_attr_set(ctx, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS), "architecture");
    if (arch != SCMP_ARCH_NATIVE && arch != seccomp_arch_native()) {
        check(seccomp_arch_remove(ctx, SCMP_ARCH_NATIVE), "architecture");
        check(seccomp_arch_add(ctx, arch), "architecture");
    }
    /* A tree in place of a list (libseccomp 2.5): the kernel runs the program once for
     * each call there is when it is installed. */
    (void)seccomp_attr_set(ctx, SCMP_FLTATR_CTL_OPTIMIZE, 2);
    RULES(ctx, SCMP_ACT_KILL_PROCESS, deadly);
    rules_memory(ctx, program);
    if (program == &relay_program) {
        RULES(ctx, SCMP_ACT_ALLOW, relay);
        RULES(ctx, SCMP_ACT_KILL_PROCESS, deadly_for_relay);
    } else {
        rules_session(ctx, program);
    }
    print(ctx, program->name);
    seccomp_release(ctx);
}

/* Where the numbers in this file (O_NONBLOCK, TCGETS, SOCK_STREAM ...) are Linux's
 * usual ones, and the bytes in the usual order. */
static bool is_usual(uint32_t arch)
{
    return arch == SCMP_ARCH_X86_64 || arch == SCMP_ARCH_AARCH64 || arch == SCMP_ARCH_ARM ||
           arch == SCMP_ARCH_RISCV64;
}

/* Where socketcall(2) can be called as well, which hides from a filter what a
 * socket is for. */
static bool has_socketcall(uint32_t arch)
{
    return arch == SCMP_ARCH_X86 || arch == SCMP_ARCH_S390 || arch == SCMP_ARCH_S390X;
}

int main(int argc, char **argv)
{
    bool other = argc > 1;
    uint32_t arch = other ? seccomp_arch_resolve_name(argv[1]) : seccomp_arch_native();

    if (has_socketcall(arch) || (other && !(is_usual(arch) && is_usual(seccomp_arch_native())))) {
        fprintf(stderr,
                "filter-program: cannot make programs for %s: configure --without-seccomp\n",
                other ? argv[1] : "this machine");
        return 1;
    }
    puts("/* Made by filter_program.c. */\n#include <linux/filter.h>\n");
    for (size_t i = 0; i < sizeof programs / sizeof *programs; i++)
        make(&programs[i], arch);
    make(&relay_program, arch);
    return fflush(stdout) != 0;
}
