/* The file for sshd's xauth, and whose connection is gone. */
#include "config.h"

#include "policy/xauth.h"

#include "base/file.h"
#include "base/process.h"
#include "policy/connection.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define A "00000000000000a1"
#define B "00000000000000b2"

static char top[] = "/tmp/berth-xauth-XXXXXX";
static int dir;

static int make(void **state)
{
    (void)state;
    if (!mkdtemp(top) || chmod(top, 01777) < 0)
        return -1;
    dir = open(top, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return dir < 0 ? -1 : 0;
}

static int drop(void **state)
{
    (void)state;
    (void)unlinkat(dir, CONNECTION_FOLDER, AT_REMOVEDIR);
    close_fd(&dir);
    return rmdir(top); /* nothing is left in it */
}

static bool is_there(const char *name)
{
    return faccessat(dir, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

static void touch(const char *name)
{
    int fd = openat(dir, name, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

    assert_true(fd >= 0);
    close(fd);
}

static void test_made_and_removed(void **state)
{
    struct error *err = NULL;
    struct stat st;

    (void)state;
    assert_int_equal(xauth_make(dir, A, &err), 0);
    assert_int_equal(fstatat(dir, "xauth-" A, &st, AT_SYMLINK_NOFOLLOW), 0);
    assert_true(S_ISREG(st.st_mode) && (st.st_mode & 0777) == 0600 && st.st_size == 0);
    assert_int_equal(xauth_make(dir, A, &err), -1);
    error_clear(&err);
    touch("xauth-" A "-c");
    touch("xauth-" A "-l");
    touch("xauth-" A "-n");
    touch("xauth-" A "-x");
    xauth_remove(dir, B);
    assert_true(is_there("xauth-" A));
    xauth_remove(dir, A);
    assert_false(is_there("xauth-" A) || is_there("xauth-" A "-c") || is_there("xauth-" A "-l") ||
                 is_there("xauth-" A "-n"));
    assert_int_equal(unlinkat(dir, "xauth-" A "-x", 0), 0);
}

static struct connection of(pid_t sshd, const char *id, const char *peer)
{
    struct connection c = {.uid = 2001, .sshd = sshd, .started = process_started(sshd)};

    snprintf(c.id, sizeof c.id, "%s", id);
    snprintf(c.peer, sizeof c.peer, "%s", peer);
    snprintf(c.name, sizeof c.name, "alice");
    return c;
}

static void test_those_of_dead_connections_are_swept(void **state)
{
    static const char *const others[] = {"xauth-", "xauth-00", "xauth-" A "b",
                                         "xauth",  "rate",     "user.lock"};
    struct error *err = NULL;
    int status;

    (void)state;
    if (getuid() != 0)
        skip(); /* the folder of connections is root's */
    cleanup_fd int folder = connection_folder(top, &err);
    assert_true(folder >= 0);
    pid_t dead = fork();
    if (dead == 0)
        pause();
    const struct connection living = of(getpid(), A, "192.0.2.7 50022 192.0.2.1 22");
    const struct connection killed = of(dead, B, "192.0.2.7 50023 192.0.2.1 22");
    assert_int_equal(connection_publish(folder, &living, &err), 0);
    assert_int_equal(connection_publish(folder, &killed, &err), 0);
    assert_int_equal(xauth_make(dir, A, &err), 0);
    assert_int_equal(xauth_make(dir, B, &err), 0);
    touch("xauth-" B "-c");
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        touch(others[i]);
    xauth_sweep(dir, top);
    assert_true(is_there("xauth-" A) && is_there("xauth-" B));
    kill(dead, SIGKILL);
    assert_int_equal(waitpid(dead, &status, 0), dead);
    xauth_sweep(dir, top);
    assert_true(is_there("xauth-" A));
    assert_false(is_there("xauth-" B) || is_there("xauth-" B "-c"));
    connection_withdraw(folder, &killed);
    connection_withdraw(folder, &living);
    xauth_sweep(dir, top);
    assert_false(is_there("xauth-" A));
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        assert_int_equal(unlinkat(dir, others[i], 0), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_made_and_removed),
        cmocka_unit_test(test_those_of_dead_connections_are_swept),
    };

    return cmocka_run_group_tests(tests, make, drop);
}
