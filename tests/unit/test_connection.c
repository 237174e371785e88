#include "config.h"

#include "policy/connection.h"

#include "base/file.h"
#include "base/process.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#define PEER "192.0.2.7 50022 192.0.2.1 22"

static char top[] = "/tmp/berth-connection-XXXXXX";
static char folder_path[64];

static int make(void **state)
{
    (void)state;
    if (!mkdtemp(top) || chmod(top, 01777) < 0)
        return -1;
    snprintf(folder_path, sizeof folder_path, "%s/" CONNECTION_FOLDER, top);
    return 0;
}

static int drop(void **state)
{
    (void)state;
    (void)rmdir(folder_path);
    return rmdir(top);
}

static void need_root(void)
{
    if (getuid() != 0)
        skip(); /* what is vouched for is root's */
}

static int open_folder(void)
{
    struct error *err = NULL;
    int folder = connection_folder(top, &err);

    if (err)
        print_error("%s\n", error_text(err));
    assert_true(folder >= 0);
    return folder;
}

static struct connection living(const char *name)
{
    struct connection c = {.id = "00000000000000a1",
                           .uid = 2001,
                           .sshd = getpid(),
                           .started = process_started(getpid()),
                           .peer = PEER};

    snprintf(c.name, sizeof c.name, "%s", name);
    return c;
}

static void test_there_and_back(void **state)
{
    const struct connection c = living("alice = bob\ttoo");
    struct connection read = {0};
    struct error *err = NULL;
    struct stat st;

    (void)state;
    need_root();
    mode_t before = umask(077);
    cleanup_fd int folder = open_folder();
    umask(before);
    assert_int_equal(fstat(folder, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0711);
    assert_false(connection_read(&read, top, PEER, 2001));
    assert_int_equal(connection_publish(folder, &c, &err), 0);
    assert_true(connection_read(&read, top, PEER, 2001));
    assert_string_equal(read.id, c.id);
    assert_string_equal(read.name, c.name);
    assert_string_equal(read.peer, PEER);
    assert_int_equal(read.sshd, getpid());
    /* Another connection, another uid. */
    assert_false(connection_read(&read, top, "192.0.2.7 50023 192.0.2.1 22", 2001));
    assert_false(connection_read(&read, top, PEER, 2002));
    connection_withdraw(folder, &c);
    assert_false(connection_read(&read, top, PEER, 2001));
}

static void test_the_next_one_of_the_same_addresses(void **state)
{
    const struct connection old = living("alice");
    struct connection new = living("bob"), read;
    struct error *err = NULL;

    (void)state;
    need_root();
    snprintf(new.id, sizeof new.id, "00000000000000b2");
    cleanup_fd int folder = open_folder();
    assert_int_equal(connection_publish(folder, &old, &err), 0);
    assert_int_equal(connection_publish(folder, &new, &err), 0);
    /* Whose end comes late takes away nothing that isn't its own. */
    connection_withdraw(folder, &old);
    assert_true(connection_read(&read, top, PEER, 2001));
    assert_string_equal(read.name, "bob");
    connection_withdraw(folder, &new);
}

/* A pid that nobody has any more, or that another one has. */
static void test_an_sshd_that_is_gone(void **state)
{
    struct connection c = living("alice"), read;
    struct error *err = NULL;
    pid_t pid = fork();

    (void)state;
    if (pid == 0)
        _exit(0);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    need_root();
    cleanup_fd int folder = open_folder();
    c.started++;
    assert_int_equal(connection_publish(folder, &c, &err), 0);
    assert_false(connection_read(&read, top, PEER, 2001));
    c = living("alice");
    c.sshd = pid;
    assert_int_equal(connection_publish(folder, &c, &err), 0);
    assert_false(connection_read(&read, top, PEER, 2001));
    connection_sweep(top);
    assert_int_equal(rmdir(folder_path), 0);
}

static void test_a_sweep_leaves_the_living(void **state)
{
    const struct connection c = living("alice");
    struct connection read;
    struct error *err = NULL;

    (void)state;
    need_root();
    cleanup_fd int folder = open_folder();
    assert_int_equal(connection_publish(folder, &c, &err), 0);
    connection_sweep(top);
    assert_true(connection_read(&read, top, PEER, 2001));
    connection_withdraw(folder, &c);
}

static void test_peers_that_are_none(void **state)
{
    static const char *const bad[] = {"",
                                      "UNKNOWN 65535 UNKNOWN 65535",
                                      "192.0.2.7 1 192.0.2.1",
                                      "../../etc/passwd 1 x 2",
                                      ". 1 192.0.2.1 2",
                                      "192.0.2.7 1 192.0.2.1 22 5",
                                      "a\nb 1 c 2"};
    struct connection c = living("alice");

    (void)state;
    need_root();
    cleanup_fd int folder = open_folder();
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        cleanup_error struct error *err = NULL;
        snprintf(c.peer, sizeof c.peer, "%s", bad[i]);
        assert_int_equal(connection_publish(folder, &c, &err), -1);
        assert_int_equal(error_kind(err), ERROR_NOT_FOUND);
    }
    cleanup_error struct error *err = NULL;
    c = living("alice\nname=root");
    assert_int_equal(connection_publish(folder, &c, &err), -1);
}

static void put(int folder, const char *name, const char *text, mode_t mode, uid_t owner)
{
    cleanup_fd int fd = openat(folder, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    assert_int_equal(fchown(fd, owner, (gid_t)-1), 0);
    assert_int_equal(fchmod(fd, mode), 0);
}

static void test_files_that_are_not_roots_or_not_whole(void **state)
{
    static const char name[] = "192.0.2.7_50022_192.0.2.1_22";
    char good[512];
    struct connection read;

    (void)state;
    need_root();
    cleanup_fd int folder = open_folder();
    snprintf(good, sizeof good,
             "berth-connection 1\nid=00000000000000a1\nuid=2001\nsshd=%d %llu\npeer=" PEER
             "\nname=alice\n",
             (int)getpid(), process_started(getpid()));
    put(folder, name, good, 0644, 0);
    assert_true(connection_read(&read, top, PEER, 2001));
    put(folder, name, good, 0666, 0);
    assert_false(connection_read(&read, top, PEER, 2001));
    put(folder, name, good, 0644, 2001);
    assert_false(connection_read(&read, top, PEER, 2001));
    for (size_t len = 0; len < strlen(good); len++) {
        char cut[512];
        snprintf(cut, sizeof cut, "%.*s", (int)len, good);
        put(folder, name, cut, 0644, 0);
        assert_false(connection_read(&read, top, PEER, 2001));
    }
    assert_int_equal(unlinkat(folder, name, 0), 0);
    assert_int_equal(symlinkat("/etc/passwd", folder, name), 0);
    assert_false(connection_read(&read, top, PEER, 2001));
    assert_int_equal(unlinkat(folder, name, 0), 0);
}

static bool is_there(int folder, const char *name)
{
    struct stat st;

    return fstatat(folder, name, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

static void make_old(int folder, const char *name)
{
    const struct timespec times[2] = {{.tv_sec = time(NULL) - 3600}, {.tv_sec = time(NULL) - 3600}};

    assert_int_equal(utimensat(folder, name, times, AT_SYMLINK_NOFOLLOW), 0);
}

/* Whose pid lives: it may be another's by now. */
static void test_a_sweep_of_what_was_never_named(void **state)
{
    char name[64];

    (void)state;
    need_root();
    cleanup_fd int folder = open_folder();
    snprintf(name, sizeof name, ".new%d", (int)getpid());
    put(folder, name, "berth-connection 1\nid=", 0600, 0);
    connection_sweep(top);
    assert_true(is_there(folder, name));
    make_old(folder, name);
    connection_sweep(top);
    assert_false(is_there(folder, name));
}

static void test_a_sweep_leaves_what_it_does_not_know(void **state)
{
    static const char *const names[] = {".new1", ".new2", ".other", "other"};

    (void)state;
    need_root();
    cleanup_fd int folder = open_folder();
    put(folder, names[0], "", 0600, 2001);
    assert_int_equal(symlinkat("/nonexistent", folder, names[1]), 0);
    put(folder, names[2], "", 0600, 0);
    put(folder, names[3], "", 0600, 0);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        make_old(folder, names[i]);
    connection_sweep(top);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        assert_true(is_there(folder, names[i]));
        assert_int_equal(unlinkat(folder, names[i], 0), 0);
    }
}

/* What is being changed isn't looked at; and a login waits for nobody for long. */
static void test_a_folder_that_is_held(void **state)
{
    struct connection c = living("alice"), read;
    struct error *err = NULL;

    (void)state;
    need_root();
    cleanup_fd int folder = open_folder(), holder = open_folder();
    put(folder, ".new1", "", 0600, 0);
    make_old(folder, ".new1");
    assert_int_equal(flock(holder, LOCK_EX | LOCK_NB), 0);
    connection_sweep(top);
    assert_true(is_there(folder, ".new1"));
    assert_int_equal(connection_publish(folder, &c, &err), 0);
    assert_true(connection_read(&read, top, PEER, 2001));
    assert_int_equal(flock(holder, LOCK_UN), 0);
    connection_sweep(top);
    assert_false(is_there(folder, ".new1"));
    /* Nobody keeps it. */
    connection_withdraw(folder, &c);
    assert_int_equal(flock(holder, LOCK_EX | LOCK_NB), 0);
}

static void test_a_folder_of_somebody_elses(void **state)
{
    cleanup_error struct error *err = NULL;

    (void)state;
    need_root();
    (void)rmdir(folder_path);
    assert_int_equal(mkdir(folder_path, 0777), 0);
    assert_int_equal(chown(folder_path, 2001, (gid_t)-1), 0);
    assert_int_equal(connection_folder(top, &err), -1);
    assert_non_null(strstr(error_text(err), "root's"));
    assert_int_equal(rmdir(folder_path), 0);
}

static void test_the_container_of_its_network(void **state)
{
    struct connection c = living("alice"), read = {0};
    struct error *err = NULL;

    (void)state;
    need_root();
    cleanup_fd int folder = open_folder();
    memset(c.network, 'a', sizeof c.network - 1);
    c.network_pid = 4711;
    assert_int_equal(connection_publish(folder, &c, &err), 0);
    assert_true(connection_read(&read, top, PEER, 2001));
    assert_int_equal(read.network_pid, 4711);
    assert_string_equal(read.network, c.network);
    assert_string_equal(read.name, "alice");
    /* The next word of it is that it has none. */
    c.network_pid = 0;
    assert_int_equal(connection_publish(folder, &c, &err), 0);
    assert_true(connection_read(&read, top, PEER, 2001));
    assert_int_equal(read.network_pid, 0);
    assert_string_equal(read.network, "");
    connection_withdraw(folder, &c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_there_and_back),
        cmocka_unit_test(test_the_next_one_of_the_same_addresses),
        cmocka_unit_test(test_an_sshd_that_is_gone),
        cmocka_unit_test(test_a_sweep_leaves_the_living),
        cmocka_unit_test(test_peers_that_are_none),
        cmocka_unit_test(test_files_that_are_not_roots_or_not_whole),
        cmocka_unit_test(test_a_sweep_of_what_was_never_named),
        cmocka_unit_test(test_a_sweep_leaves_what_it_does_not_know),
        cmocka_unit_test(test_the_container_of_its_network),
        cmocka_unit_test(test_a_folder_that_is_held),
        cmocka_unit_test(test_a_folder_of_somebody_elses),
    };

    return cmocka_run_group_tests(tests, make, drop);
}
