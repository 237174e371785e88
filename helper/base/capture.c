#include "config.h"

#include "base/capture.h"

#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { RUN_MS = 10000, OUT_MAX = 1024 * 1024, ERR_MAX = 16 * 1024 };

enum slot { SLOT_OUT, SLOT_ERR, SLOT_COUNT };

struct run {
    int fds[SLOT_COUNT]; /* our ends; -1: it has closed its own */
    struct text *texts[SLOT_COUNT];
    size_t most[SLOT_COUNT];
};

static int start(char *const argv[], const int ends[SLOT_COUNT], pid_t *pid)
{
    static char *const no_environment[] = {NULL};
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t defaults;

    sigemptyset(&defaults);
    sigaddset(&defaults, SIGPIPE); /* ignored here */
    posix_spawn_file_actions_init(&actions);
    posix_spawnattr_init(&attributes);
    posix_spawnattr_setsigdefault(&attributes, &defaults);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGDEF);
    int rc = posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
    if (rc == 0)
        rc = posix_spawn_file_actions_adddup2(&actions, ends[SLOT_OUT], 1);
    if (rc == 0)
        rc = posix_spawn_file_actions_adddup2(&actions, ends[SLOT_ERR], 2);
    if (rc == 0)
        rc = posix_spawn(pid, argv[0], &actions, &attributes, argv, no_environment);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    return rc;
}

/* False when it has closed that end, or has said too much. */
static bool take(struct run *r, enum slot slot)
{
    char bytes[8192];
    ssize_t n = read(r->fds[slot], bytes, sizeof bytes);

    if (n < 0 && errno == EINTR)
        return true;
    if (n <= 0 || r->texts[slot]->len + (size_t)n > r->most[slot]) {
        close_fd(&r->fds[slot]);
        return false;
    }
    text_add(r->texts[slot], bytes, (size_t)n);
    return true;
}

/* False: it took too long. */
static bool collect(struct run *r)
{
    const long long end = now_ms() + RUN_MS;

    while (r->fds[SLOT_OUT] >= 0 || r->fds[SLOT_ERR] >= 0) {
        long long left = end - now_ms();
        struct pollfd fds[SLOT_COUNT] = {{.fd = r->fds[SLOT_OUT], .events = POLLIN},
                                         {.fd = r->fds[SLOT_ERR], .events = POLLIN}};
        if (left <= 0)
            return false;
        if (poll(fds, SLOT_COUNT, (int)left) < 0 && errno != EINTR)
            return false;
        for (int i = 0; i < SLOT_COUNT; i++)
            if (fds[i].revents)
                (void)take(r, (enum slot)i);
    }
    return true;
}

static int await(pid_t pid, bool closed)
{
    int status = -1;

    if (!closed)
        kill(pid, SIGKILL);
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    return status;
}

static const char *first_line(struct text *t)
{
    if (t->len > 0)
        t->data[strcspn(t->data, "\r\n")] = '\0';
    return text_str(t);
}

int capture_run(const struct strings *argv, struct text *out, struct error **err)
{
    cleanup_text struct text said = {0};
    struct run r = {.fds = {-1, -1}, .texts = {out, &said}, .most = {OUT_MAX, ERR_MAX}};
    int pipes[SLOT_COUNT][2] = {{-1, -1}, {-1, -1}};
    const char *program = argv->items[0];
    pid_t pid;

    if (access(program, X_OK) < 0)
        return error_set(err, errno, "cannot run %s", program);
    if (pipe2(pipes[0], O_CLOEXEC) < 0 || pipe2(pipes[1], O_CLOEXEC) < 0) {
        close_fd(&pipes[0][0]);
        close_fd(&pipes[0][1]);
        return error_set(err, errno, "pipe");
    }
    const int ends[SLOT_COUNT] = {pipes[0][1], pipes[1][1]};
    int rc = start(argv->items, ends, &pid);
    for (int i = 0; i < SLOT_COUNT; i++) {
        close_fd(&pipes[i][1]);
        r.fds[i] = pipes[i][0];
    }
    bool closed = rc == 0 && collect(&r);
    int status = rc == 0 ? await(pid, closed) : 0;
    close_fd(&r.fds[SLOT_OUT]);
    close_fd(&r.fds[SLOT_ERR]);
    if (rc != 0)
        return error_set(err, rc, "cannot run %s", program);
    if (!closed)
        return error_set(err, 0, "%s has not ended in %d s", program, RUN_MS / 1000);
    if (status != 0)
        return error_set(err, 0, "%s: %s", program,
                         said.len > 0 ? first_line(&said) : "failed, and didn't say why");
    return 0;
}
