#include "config.h"

#include "guest/program.h"

#include "base/file.h"
#include "guest/shell.h"
#include "protocol/message.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

static const char usual_path[] =
    "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

enum {
    SHOWN_MAX = 200, /* of a path in an error's text */
    TOLD_MAX = 900,  /* of START's own text */
};

/* Text is cut between two characters. */
static _Noreturn void fail(int report, struct text *t)
{
    size_t len = t->len < MESSAGE_ERROR_MAX ? t->len : MESSAGE_ERROR_MAX;

    while (len > 0 && !utf8_valid(text_str(t), len))
        len--;
    if (len == 0 && write(report, "out of memory", 13) < 0)
        _exit(PROGRAM_FAILED);
    if (len > 0 && write(report, text_str(t), len) < 0)
        _exit(PROGRAM_FAILED);
    _exit(PROGRAM_FAILED);
}

/* "cannot run /bin/foo: No such file or directory", for errno. */
static _Noreturn void fail_path(int report, const char *what, const char *path, const char *advice)
{
    const int error = errno;
    struct text t = {0};

    text_printf(&t, "%s ", what);
    text_display(&t, path, SHOWN_MAX);
    text_printf(&t, ": %s%s", strerror(error), advice);
    fail(report, &t);
}

static _Noreturn void fail_text(int report, const char *s)
{
    struct text t = {0};

    text_display(&t, s, TOLD_MAX);
    fail(report, &t);
}

/* Only 0 to 2 are left, and the report, which execve closes: as descriptor 3. */
static int place_descriptors(const struct program *p)
{
    int from[4] = {p->fds[0], p->fds[1], p->fds[2], p->report};

    /* Out of the way of 0 to 3 first. */
    for (int i = 0; i < 4; i++) {
        from[i] = fcntl(from[i], F_DUPFD_CLOEXEC, 4);
        if (from[i] < 0)
            return -1;
    }
    for (int i = 0; i < 4; i++)
        if (dup3(from[i], i, i == 3 ? O_CLOEXEC : 0) < 0)
            return -1;
    fd_close_from(4);
    return 0;
}

/* What the guest has blocked. It ignores nothing and neither does what it starts. */
static void unblock_signals(void)
{
    sigset_t none;

    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

/* text_format(), but for what printf(3) touches: four pages of code and data in a process
 * that has just been forked. */
static char *join(const char *a, const char *b)
{
    struct text t = {0};

    text_puts(&t, a);
    text_puts(&t, b);
    return text_take(&t);
}

static bool same_name(const char *a, const char *b)
{
    size_t len = strcspn(a, "=");

    return strncmp(a, b, len) == 0 && b[len] == '=';
}

/* Takes the place of an entry of the same name. */
static int environment_put(struct strings *env, const char *entry)
{
    for (size_t i = 0; i < env->count; i++) {
        if (!same_name(entry, env->items[i]))
            continue;
        char *copy = strdup(entry);
        if (!copy)
            return -1;
        free(env->items[i]);
        env->items[i] = copy;
        return 0;
    }
    return strings_add(env, entry);
}

static bool environment_has(const struct strings *env, const char *name)
{
    for (size_t i = 0; i < env->count; i++)
        if (same_name(name, env->items[i]))
            return true;
    return false;
}

int program_environment(struct strings *env, char **base, const struct strings *over,
                        const char *shell)
{
    for (; base && *base; base++)
        if (strchr(*base, '=') && environment_put(env, *base) < 0)
            return -1;
    if (shell) {
        cleanup_string char *entry = join("SHELL=", shell);
        if (!entry || environment_put(env, entry) < 0)
            return -1;
    }
    for (size_t i = 0; i < over->count; i++)
        if (environment_put(env, over->items[i]) < 0)
            return -1;
    return environment_has(env, "PATH=") ? 0 : strings_add(env, usual_path);
}

static const char too_long[] =
    ": the command and its environment are too long (128 KiB each, 2 MiB in all)";

static const char *exec_advice(const char *path)
{
    if (errno == E2BIG)
        return too_long;
    if (errno == ENOENT && access(path, F_OK) == 0) {
        errno = ENOENT;
        return ": the file is there, its interpreter or loader isn't";
    }
    return "";
}

/* Whether the next program may be tried: this one isn't one here. */
static bool not_here(int error)
{
    return error == ENOENT || error == EACCES || error == ENOEXEC || error == ENOTDIR ||
           error == ELOOP || error == EPERM || error == ELIBBAD;
}

static bool any_there(const struct start *start)
{
    for (size_t i = 0; i < start->programs.count; i++)
        if (access(start->programs.items[i], X_OK) == 0)
            return true;
    return false;
}

/* sftp-server would say so on its stderr, which sshd shows to nobody. */
static _Noreturn void fail_account(uid_t uid)
{
    struct text t = {0};

    text_printf(&t,
                "the image's /etc/passwd has no line for uid %u, which sftp-server needs: add "
                "one to the image, or set user in berth.conf to one that it has",
                (unsigned)uid);
    fail(3, &t);
}

static _Noreturn void run_one_of(const struct start *start, char **env)
{
    struct strings argv = {0};

    if (strings_add(&argv, "") < 0)
        fail_text(3, "out of memory");
    for (size_t i = 0; i < start->argv.count; i++)
        if (strings_add(&argv, start->argv.items[i]) < 0)
            fail_text(3, "out of memory");
    for (size_t i = 0; i < start->programs.count; i++) {
        const char *path = start->programs.items[i];
        free(argv.items[0]);
        argv.items[0] = strdup(path);
        execve(path, argv.items, env);
        if (!not_here(errno))
            fail_path(3, "cannot run", path, exec_advice(path));
    }
    if (start->missing[0])
        fail_text(3, start->missing);
    fail_path(3, "cannot run", start->programs.items[start->programs.count - 1], "");
}

/* Comes back where execve fails. */
static void try_shell(const struct start *start, const char *shell, char **env)
{
    const char *name = strrchr(shell, '/') + 1;
    cleanup_string char *login = join("-", name);
    char option[] = "-c", nothing[] = ":";
    char *argv[] = {login, NULL, NULL, NULL};

    if (start->kind != START_LOGIN) {
        argv[0] = (char *)name;
        argv[1] = option;
        argv[2] = start->kind == START_COMMAND ? start->argv.items[0] : nothing;
    }
    execve(shell, argv, env);
}

/* The terminal's own name, not that of the one on the host. */
static int put_terminal(struct strings *env)
{
    static const char name[] = "SSH_TTY=";
    char entry[sizeof name + 64];
    ssize_t n = readlink("/proc/self/fd/0", entry + sizeof name - 1, 64);

    if (n <= 0)
        return 0;
    memcpy(entry, name, sizeof name - 1);
    entry[sizeof name - 1 + (size_t)n] = '\0';
    return environment_put(env, entry);
}

static void make_environment(struct strings *env, const struct program *p, const char *shell)
{
    const struct start *start = p->start;

    *env = (struct strings){0};
    if (program_environment(env, p->environment, &start->env, shell) < 0 ||
        (start->tty && !environment_has(&start->env, "SSH_TTY=") && put_terminal(env) < 0))
        fail_text(3, "out of memory");
}

/* One is run before it is looked at: each look at an image's file may be a question to
 * a process (FUSE), and most logins need none. */
static _Noreturn void run_shell(const struct program *p, const struct strings *shells)
{
    const struct start *start = p->start;

    for (size_t i = 0; i < shells->count; i++) {
        const char *shell = shells->items[i];
        struct strings env;
        make_environment(&env, p, shell);
        try_shell(start, shell, env.items);
        const int error = errno;
        const bool this_one = start->shell[0] || shell_can_run(shell);
        errno = error;
        if (this_one)
            fail_path(3, "cannot run the shell", shell, exec_advice(shell));
        strings_free(&env);
    }
    fail_text(3, "no shell: the image has neither its user's of /etc/passwd, nor /bin/bash, nor "
                 "/bin/sh: name one in berth.conf: shell = \"/path\"");
}

/* Its SHELL is for what it may start. */
static _Noreturn void run_program(const struct program *p, const struct strings *shells)
{
    struct strings env;
    size_t i = 0;

    while (i < shells->count && !p->start->shell[0] && !shell_can_run(shells->items[i]))
        i++;
    make_environment(&env, p, i < shells->count ? shells->items[i] : NULL);
    if (any_there(p->start) && !shell_has_account(getuid()))
        fail_account(getuid());
    run_one_of(p->start, env.items);
}

/* Where neither berth.conf nor the image says where; as login(1), elsewhere where there is
 * none. */
static void enter_home(const struct start *start)
{
    static const char name[] = "HOME=";
    char cwd[2];

    if (!getcwd(cwd, sizeof cwd))
        return;
    for (size_t i = 0; i < start->env.count; i++)
        if (strncmp(start->env.items[i], name, sizeof name - 1) == 0 &&
            chdir(start->env.items[i] + sizeof name - 1) < 0)
            return;
}

/* The descriptors are in place: the report is 3. */
static _Noreturn void run(const struct program *p)
{
    const struct start *start = p->start;
    struct strings shells = {0};

    umask((mode_t)start->umask);
    if (start->cwd[0] && chdir(start->cwd) < 0)
        fail_path(3, "cannot enter", start->cwd, "");
    if (!start->cwd[0])
        enter_home(start);
    if (shell_candidates(&shells, start->shell) < 0)
        fail_text(3, "out of memory");
    if (start->kind == START_PROGRAM)
        run_program(p, &shells);
    run_shell(p, &shells);
}

void program_run(const struct program *p)
{
    setsid();
    unblock_signals();
    if (p->start->tty && ioctl(p->fds[0], TIOCSCTTY, 0) < 0)
        fail_path(p->report, "cannot take the terminal", "/dev/tty", "");
    if (place_descriptors(p) < 0)
        fail_path(p->report, "cannot place", "descriptors", "");
    /* Not before: the guest's other descriptors may be more than it allows. */
    setrlimit(RLIMIT_NOFILE, &p->files);
    run(p);
}
