#include "config.h"

#include "pam/network.h"

#include "pam/groups.h"

#include "base/file.h"
#include "policy/network.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <security/pam_ext.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <syslog.h>
#include <unistd.h>

#define HELPER BERTH_LIBEXECDIR "/berth-session"
#define BERTH  BERTH_SBINDIR "/berth"
#define IPV6   "/proc/sys/net/ipv6/conf/lo/disable_ipv6"

enum {
    /* s; each of their own waits is shorter, but for the pull of an image. */
    HELPER_S = 900,
    BERTH_S = 60,
    NSS_S = 20,
    LINE_MAX_LENGTH = 2048,
};

/* A program of ours, which root has run for a login. */
struct program {
    const char *path;
    char *const *argv;
    char *const *env;
    const struct login *user; /* as whom; NULL: as root */
    int wait_s;
};

/* The login's own groups, and those that the module gives him (setcred). */
static int become_user(const struct login *login, struct error **err)
{
    const struct account *a = &login->account;

    if (initgroups(a->name, a->gid) < 0)
        return error_set(err, errno, "groups of the login");
    if (groups_grant_again(login->pamh, err) < 0)
        return -1;
    if (setresgid(a->gid, a->gid, a->gid) < 0 || setresuid(a->uid, a->uid, a->uid) < 0)
        return error_set(err, errno, "cannot become uid %u", (unsigned)a->uid);
    return 0;
}

static void on_alarm(int number)
{
    static const char words[] = "berth: the system's user database (NSS) doesn't answer: try "
                                "again later, or ask the administrator\n";

    (void)number;
    (void)!write(2, words, sizeof words - 1);
    _exit(1);
}

static void reset_signals(void)
{
    sigset_t none;

    for (int number = 1; number < NSIG; number++)
        signal(number, SIG_DFL);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

/* It has sshd's connection still, which a user database that hangs would keep open for
 * good. */
static int become_user_in_time(const struct login *login, struct error **err)
{
    signal(SIGALRM, on_alarm);
    alarm(NSS_S);
    int rc = become_user(login, err);
    alarm(0);
    signal(SIGALRM, SIG_DFL);
    return rc;
}

/* Nothing of sshd's goes along: no descriptor, no signal's setting. What root runs doesn't
 * outlive the wait for it (alarm(2): execve(2) keeps it). */
static void run(const struct program *program, int out)
{
    cleanup_error struct error *err = NULL;
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);

    if (null < 0 || dup2(null, 0) < 0 || dup2(out, 1) < 0 || dup2(out, 2) < 0 || chdir("/") < 0)
        return;
    reset_signals();
    if (program->user && become_user_in_time(program->user, &err) < 0) {
        dprintf(2, "berth: %s\n", error_text(err));
        return;
    }
    fd_close_from(3);
    if (!program->user)
        alarm((unsigned)program->wait_s);
    execve(program->path, program->argv, program->env);
    dprintf(2, "berth: %s: %s\n", program->path, strerror(errno));
}

/* Init's child at once: sshd has no use for its end. What it says comes by *out. */
static int start(const struct program *program, int *out, struct error **err)
{
    int ends[2], status;

    if (pipe2(ends, O_CLOEXEC) < 0)
        return error_set(err, errno, "pipe");
    pid_t pid = fork();
    if (pid == 0) {
        if (setsid() >= 0 && fork() == 0)
            run(program, ends[1]);
        _exit(1);
    }
    close(ends[1]);
    if (pid < 0) {
        close(ends[0]);
        return error_set(err, errno, "fork");
    }
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    *out = ends[0];
    return 0;
}

/* Its first line, without the end of it; "" where it ended without one. */
static int read_line(int fd, int wait_s, char line[LINE_MAX_LENGTH], struct error **err)
{
    const long long end = now_ms() + wait_s * 1000LL;
    size_t len = 0;

    for (;;) {
        struct pollfd slot = {.fd = fd, .events = POLLIN};
        long long left = end - now_ms();
        int n = left > 0 ? poll(&slot, 1, (int)left) : 0;
        if (n == 0)
            return error_set(err, ETIMEDOUT, "no answer in %d s", wait_s);
        ssize_t got = n < 0 ? -1 : read(fd, line + len, LINE_MAX_LENGTH - 1 - len);
        if (got < 0 && errno != EINTR)
            return error_set(err, errno, "read");
        if (got < 0)
            continue;
        len += (size_t)got;
        line[len] = '\0';
        char *newline = strchr(line, '\n');
        if (newline)
            *newline = '\0';
        if (newline || got == 0 || len == LINE_MAX_LENGTH - 1)
            return 0;
    }
}

/* What it says in its one line. */
static int ask(const struct program *program, char line[LINE_MAX_LENGTH], struct error **err)
{
    int out = -1;

    line[0] = '\0';
    if (start(program, &out, err) < 0)
        return -1;
    int rc = read_line(out, program->wait_s, line, err);
    close(out);
    return rc < 0 ? error_wrap(err, "%s", program->path) : 0;
}

/* The user's process keeps the container, as long as this one lives. */
static int hold(const struct login *login, const struct connection *connection,
                struct network *network, struct error **err)
{
    static const char prefix[] = "berth: ";
    cleanup_string char *variable = text_format("SSH_CONNECTION=%s", connection->peer);
    char *const argv[] = {(char *)"berth-session", (char *)"--config",
                          (char *)login->arguments.config, (char *)"--hold", NULL};
    char *const env[] = {variable, NULL};
    const struct program helper = {HELPER, argv, env, login, HELPER_S};
    char line[LINE_MAX_LENGTH];
    int pid, end = 0;

    if (!variable)
        return error_set(err, ENOMEM, "connection");
    if (ask(&helper, line, err) < 0)
        return -1;
    if (strncmp(line, prefix, strlen(prefix)) == 0)
        return error_set(err, 0, "%s", line + strlen(prefix));
    if (sscanf(line, "%16[0-9a-z] %10d %64[0-9a-f]%n", network->key, &pid, network->id, &end) !=
            3 ||
        line[end] || strlen(network->id) != sizeof network->id - 1)
        return error_set(err, 0, "%s --hold ended without a word of its container", HELPER);
    return 0;
}

/* What root has noted of that container, if it is this login's. */
static bool known(const struct login *login, const char *runtime_dir, struct network *network)
{
    struct network noted;

    if (!network_read(&noted, runtime_dir, network->id) || noted.uid != login->account.uid ||
        strcmp(noted.name, login->account.name) != 0 || strcmp(noted.key, network->key) != 0)
        return false;
    *network = noted;
    return true;
}

/* The engine is asked once for each container. */
static int learn(const struct login *login, const char *key, struct error **err)
{
    static const char prefix[] = "berth network: ";
    char *const argv[] = {(char *)"berth",
                          (char *)"network",
                          (char *)"--config",
                          (char *)login->arguments.config,
                          (char *)"--key",
                          (char *)key,
                          (char *)"--",
                          login->account.name,
                          NULL};
    char *const env[] = {NULL};
    const struct program berth = {BERTH, argv, env, NULL, BERTH_S};
    char line[LINE_MAX_LENGTH];

    if (ask(&berth, line, err) < 0)
        return -1;
    if (!line[0])
        return 0;
    bool own = strncmp(line, prefix, strlen(prefix)) == 0;
    return error_set(err, 0, "%s", own ? line + strlen(prefix) : line);
}

static int find(const struct login *login, const char *runtime_dir, struct network *network,
                struct error **err)
{
    if (known(login, runtime_dir, network)) {
        int fd = network_open(network, err);
        if (fd >= 0 || error_kind(*err) != ERROR_LOST)
            return fd;
        error_clear(err);
    }
    if (learn(login, network->key, err) < 0)
        return -1;
    if (!known(login, runtime_dir, network))
        return error_set(err, 0, "container %.12s has ended", network->id);
    return network_open(network, err);
}

/* The engine turns IPv6 off where it gives no such address, on lo too, and sshd makes a
 * display on both of 127.0.0.1 and ::1 or on none. */
static void have_ipv6(void)
{
    cleanup_fd int fd = open(IPV6, O_WRONLY | O_CLOEXEC);

    if (fd >= 0)
        (void)!write(fd, "0\n", 2);
}

int network_enter(const struct login *login, const struct policy *policy,
                  struct connection *connection, struct error **err)
{
    struct network network = {0};

    if (!connection->id[0])
        return error_set(
            err, 0,
            "forwarding = container needs a TCP connection of sshd's own, by which its "
            "login is known");
    if (hold(login, connection, &network, err) < 0)
        return -1;
    cleanup_fd int fd = find(login, policy->runtime_dir, &network, err);
    if (fd < 0)
        return -1;
    if (setns(fd, CLONE_NEWNET) < 0)
        return error_set(err, errno, "cannot enter the network of container %.12s", network.id);
    if (policy->x11_forwarding)
        have_ipv6();
    connection->network_pid = network.pid;
    memcpy(connection->network, network.id, sizeof connection->network);
    pam_syslog(login->pamh, LOG_INFO, "network connection=%s user=\"%s\" uid=%u container=%.12s",
               connection->id, text_str(&login->shown), (unsigned)login->account.uid, network.id);
    return 0;
}

/* A new network's is down, and sshd's port for a display is on it. */
static int raise_loopback(void)
{
    struct ifreq lo = {.ifr_name = "lo"};
    cleanup_fd int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    if (fd < 0 || ioctl(fd, SIOCGIFFLAGS, &lo) < 0)
        return -1;
    lo.ifr_flags |= IFF_UP;
    return ioctl(fd, SIOCSIFFLAGS, &lo);
}

int network_leave(struct error **err)
{
    if (unshare(CLONE_NEWNET) < 0 || raise_loopback() < 0)
        return error_set(err, errno, "cannot make an empty network");
    return 0;
}
