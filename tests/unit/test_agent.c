/* The sockets of sessions in a container's folder, and whose sshd's socket is. */
#include "config.h"

#include "session/agent.h"

#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define A "00000000000000a1"
#define B "00000000000000b2"
#define C "00000000000000c3"

static char top[32];
static int folder;

static int make(void **state)
{
    (void)state;
    snprintf(top, sizeof top, "/tmp/berth-agent-XXXXXX");
    folder = mkdtemp(top) ? open(top, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    return folder < 0;
}

static int drop(void **state)
{
    (void)state;
    close_fd(&folder);
    return rmdir(top); /* nothing is left in it */
}

static int listen_for(const char *session)
{
    struct error *err = NULL;
    int fd = agent_listen(folder, session, &err);

    if (fd < 0)
        fail_msg("%s", error_text(err));
    return fd;
}

static void assert_link(const char *session)
{
    char now[64] = "", wanted[64];

    ssize_t n = readlinkat(folder, "agent", now, sizeof now - 1);
    if (!session) {
        assert_int_equal(n, -1);
        assert_int_equal(errno, ENOENT);
        return;
    }
    snprintf(wanted, sizeof wanted, "agent.%s", session);
    assert_string_equal(now, wanted);
}

static void test_link_leads_to_the_newest(void **state)
{
    struct stat st;

    (void)state;
    int a = listen_for(A);
    assert_link(A);
    assert_int_equal(fstatat(folder, "agent." A, &st, 0), 0);
    assert_true(S_ISSOCK(st.st_mode) && (st.st_mode & 0777) == 0666);
    int c = listen_for(C);
    assert_link(C);
    int b = listen_for(B);
    assert_link(B);
    agent_withdraw(folder, A);
    assert_link(B);
    agent_withdraw(folder, B);
    assert_link(C);
    agent_withdraw(folder, C);
    assert_link(NULL);
    agent_withdraw(folder, C);
    close(a);
    close(b);
    close(c);
}

/* Killed ones leave their sockets. */
static void test_dead_ones_are_passed_over(void **state)
{
    (void)state;
    int a = listen_for(A);
    int b = listen_for(B);
    close(b);
    assert_link(B);
    int c = listen_for(C);
    close(c);
    agent_withdraw(folder, C);
    assert_link(A);
    assert_int_equal(faccessat(folder, "agent." B, F_OK, 0), -1);
    agent_withdraw(folder, A);
    assert_link(NULL);
    close(a);
}

/* All at once, many times: the last one leaves it right. */
static void test_beginning_and_ending_together(void **state)
{
    enum { EACH = 8, TIMES = 50 };

    (void)state;
    int a = listen_for(A);
    for (int i = 0; i < EACH; i++) {
        if (fork() != 0)
            continue;
        char session[17];
        snprintf(session, sizeof session, "0000000000000%03d", i);
        for (int j = 0; j < TIMES; j++) {
            struct error *err = NULL;
            int fd = agent_listen(folder, session, &err);
            if (fd < 0)
                _exit(1);
            agent_withdraw(folder, session);
            close(fd);
        }
        _exit(0);
    }
    for (int i = 0; i < EACH; i++) {
        int status;
        assert_true(wait(&status) > 0);
        assert_int_equal(status, 0);
    }
    assert_link(A);
    agent_withdraw(folder, A);
    assert_link(NULL);
    close(a);
}

static void test_names(void **state)
{
    char name[AGENT_NAME_SIZE];

    (void)state;
    agent_name(name, A);
    assert_string_equal(name, "agent." A);
    assert_true(agent_is_name("agent") && agent_is_name(name) && agent_is_name("agent." A "~"));
    assert_false(agent_is_name("agents") || agent_is_name("guest") || agent_is_name(".") ||
                 agent_is_name(""));
}

static int bound(const char *path)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    snprintf(at.sun_path, sizeof at.sun_path, "%s", path);
    assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof at), 0);
    assert_int_equal(listen(fd, 1), 0);
    return fd;
}

static void test_what_is_found(void **state)
{
    struct error *err = NULL;
    char path[64], link[64];

    (void)state;
    static const char *const wrong[] = {
        "", "agent", "/", "/dev/null", "/nonexistent/agent.1", "/etc/passwd"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        assert_int_equal(agent_find(wrong[i], &err), -1);
        error_clear(&err);
    }
    snprintf(path, sizeof path, "%s/s", top);
    snprintf(link, sizeof link, "%s/l", top);
    int fd = bound(path);
    int found = agent_find(path, &err);
    assert_true(found >= 0);
    close(found);
    assert_int_equal(symlink(path, link), 0);
    assert_int_equal(agent_find(link, &err), -1);
    error_clear(&err);
    if (getuid() == 0) {
        assert_int_equal(chown(path, 65534, 65534), 0);
        assert_int_equal(agent_find(path, &err), -1);
        error_clear(&err);
    }
    unlink(link);
    unlink(path);
    close(fd);
}

/* Who listens must be the parent, as sshd's child is; not oneself, nor anybody else of
 * the same uid. */
static void test_who_listens(void **state)
{
    struct error *err = NULL;
    struct agent_sshd sshd;
    char path[64];
    int status;

    (void)state;
    snprintf(path, sizeof path, "%s/s", top);
    int fd = bound(path);
    int found = agent_find(path, &err);
    pid_t pid = fork();
    if (pid == 0) {
        agent_sshd_find(&sshd);
        int to = agent_connect(found, &sshd, &err);
        _exit(to < 0 || (fcntl(to, F_GETFL) & O_NONBLOCK) == 0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    agent_sshd_find(&sshd);
    assert_true(sshd.count >= 1 && sshd.count <= AGENT_SSHD_MAX && sshd.pids[0] == getppid());
    assert_int_equal(agent_connect(found, &sshd, &err), -1);
    assert_non_null(strstr(error_text(err), "isn't this connection's sshd"));
    error_clear(&err);
    close(fd);
    assert_int_equal(agent_connect(found, &sshd, &err), -1);
    error_clear(&err);
    close(found);
    unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_link_leads_to_the_newest, make, drop),
        cmocka_unit_test_setup_teardown(test_dead_ones_are_passed_over, make, drop),
        cmocka_unit_test_setup_teardown(test_beginning_and_ending_together, make, drop),
        cmocka_unit_test(test_names),
        cmocka_unit_test_setup_teardown(test_what_is_found, make, drop),
        cmocka_unit_test_setup_teardown(test_who_listens, make, drop),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
