#include "config.h"

#include "policy/network.h"

#include "base/file.h"
#include "base/process.h"

#include <fcntl.h>
#include <sched.h>
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

#include "pidfds.h"

static char top[] = "/tmp/berth-network-XXXXXX";
static char folder[64];

static int make(void **state)
{
    (void)state;
    snprintf(folder, sizeof folder, "%s/networks", mkdtemp(top) ? top : "");
    return chmod(top, 01777);
}

static int drop(void **state)
{
    (void)state;
    (void)rmdir(folder);
    return rmdir(top);
}

static void need_root(void)
{
    if (getuid() != 0)
        skip(); /* what is noted is root's */
    skip_without_pidfds();
}

/* A process in a network of its own, or in this one; *until is its end's. */
static pid_t start(bool own, int *until)
{
    int ready[2], end[2];
    char byte;

    assert_int_equal(pipe2(ready, O_CLOEXEC), 0);
    assert_int_equal(pipe2(end, O_CLOEXEC), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        close(end[1]);
        if (own && unshare(CLONE_NEWNET) < 0)
            _exit(2);
        (void)!write(ready[1], "r", 1);
        _exit(read(end[0], &byte, 1) == 0 ? 0 : 1);
    }
    close(ready[1]);
    close(end[0]);
    ssize_t n = read(ready[0], &byte, 1);
    close(ready[0]);
    *until = end[1];
    if (n != 1) {
        close(end[1]);
        waitpid(pid, NULL, 0);
        skip(); /* this machine lets nobody have one */
    }
    return pid;
}

static void end(pid_t pid, int *until)
{
    close_fd(until);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
}

static struct network of(pid_t pid, char digit)
{
    struct network n = {.key = "n0123456789abcde", .uid = 2001, .pid = pid};

    memset(n.id, digit, sizeof n.id - 1);
    snprintf(n.name, sizeof n.name, "alice = bob too");
    return n;
}

static int publish(struct network *n, struct error **err)
{
    cleanup_fd int process = process_open(n->pid, "", NULL);

    assert_true(process >= 0);
    return network_publish(top, n, process, err);
}

static bool is_noted(const struct network *n)
{
    struct network read;

    return network_read(&read, top, n->id);
}

static void test_there_and_back(void **state)
{
    struct network read;
    struct error *err = NULL;
    struct stat st, ns;
    char path[64];
    int until;

    (void)state;
    need_root();
    pid_t pid = start(true, &until);
    struct network n = of(pid, 'a');
    assert_false(is_noted(&n));
    assert_int_equal(publish(&n, &err), 0);
    assert_int_equal(stat(folder, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0700);
    assert_true(network_read(&read, top, n.id));
    assert_string_equal(read.id, n.id);
    assert_string_equal(read.key, "n0123456789abcde");
    assert_string_equal(read.name, "alice = bob too");
    assert_int_equal(read.uid, 2001);
    assert_int_equal(read.pid, pid);
    cleanup_fd int fd = network_open(&read, &err);
    assert_true(fd >= 0);
    snprintf(path, sizeof path, "/proc/%d/ns/net", (int)pid);
    assert_int_equal(stat(path, &ns), 0);
    assert_int_equal(fstat(fd, &st), 0);
    assert_int_equal(st.st_ino, ns.st_ino);
    network_sweep(top);
    assert_true(is_noted(&n));
    network_forget(top, n.id);
    assert_false(is_noted(&n));
    end(pid, &until);
}

static void refused(const struct network *n, enum error_kind kind, const char *says)
{
    cleanup_error struct error *err = NULL;

    assert_int_equal(network_open(n, &err), -1);
    assert_int_equal(error_kind(err), kind);
    if (!strstr(error_text(err), says))
        fail_msg("said \"%s\", in place of: %s", error_text(err), says);
}

/* Another process by now, or another network. */
static void test_what_it_is_no_more(void **state)
{
    struct error *err = NULL;
    int until;

    (void)state;
    need_root();
    pid_t pid = start(true, &until);
    struct network n = of(pid, 'a');
    assert_int_equal(publish(&n, &err), 0);
    struct network later = n, other = n;
    later.started++;
    refused(&later, ERROR_LOST, "has ended");
    other.inode++;
    refused(&other, ERROR_LOST, "has ended");
    end(pid, &until);
    refused(&n, ERROR_LOST, "has ended");
    network_sweep(top);
    assert_false(is_noted(&n));
}

/* Another process has the pid since the engine was asked: what that one has is nobody's. */
static void test_a_pid_that_is_another_ones(void **state)
{
    cleanup_error struct error *err = NULL;
    int until, others;

    (void)state;
    need_root();
    /* The later one has the earlier one's pipe, and keeps it from its end. */
    pid_t other = start(true, &others);
    pid_t pid = start(true, &until);
    struct network n = of(other, 'e');
    cleanup_fd int process = process_open(pid, "", NULL);
    end(pid, &until);
    assert_int_equal(network_publish(top, &n, process, &err), -1);
    assert_int_equal(error_kind(err), ERROR_LOST);
    assert_false(is_noted(&n));
    end(other, &others);
}

static void test_this_machines_own(void **state)
{
    struct error *err = NULL;
    int until;

    (void)state;
    need_root();
    pid_t pid = start(false, &until);
    struct network n = of(pid, 'b');
    assert_int_equal(publish(&n, &err), 0);
    refused(&n, ERROR_OTHER, "no network of its own");
    network_forget(top, n.id);
    end(pid, &until);
}

/* Of a writer that was killed: not as soon as it is there. */
static void test_what_was_never_named(void **state)
{
    const struct timespec long_ago[2] = {{.tv_sec = 1}, {.tv_sec = 1}};
    struct network n = of(getpid(), 'd');
    struct error *err = NULL;
    char path[96];

    (void)state;
    need_root();
    assert_int_equal(publish(&n, &err), 0);
    snprintf(path, sizeof path, "%s/.new77", folder);
    cleanup_fd int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    network_sweep(top);
    assert_int_equal(access(path, F_OK), 0);
    assert_int_equal(futimens(fd, long_ago), 0);
    network_sweep(top);
    assert_int_equal(access(path, F_OK), -1);
    assert_true(is_noted(&n));
    network_forget(top, n.id);
}

static void test_what_is_no_name(void **state)
{
    static const char *const ids[] = {"", "..", "../connections/x", "abc"};
    struct network read, n = of(getpid(), 'g');
    cleanup_error struct error *err = NULL;

    (void)state;
    need_root();
    assert_int_equal(publish(&n, &err), -1);
    for (size_t i = 0; i < sizeof ids / sizeof *ids; i++)
        assert_false(network_read(&read, top, ids[i]));
}

static void test_what_is_not_whole(void **state)
{
    static const char *const texts[] = {
        "", "berth-network 2\n", "berth-network 1\nuid=1\nkey=user\nprocess=2 3\ninode=4\n",
        "berth-network 1\nuid=1\nkey=user\nprocess=2 3\ninode=4\nname=a",
        "berth-network 1\nuid=1\nkey=user\nprocess=2 3\ninode=4\nname=a\nmore\n"};
    struct network n = of(getpid(), 'c');
    struct error *err = NULL;
    char path[160];

    (void)state;
    need_root();
    assert_int_equal(publish(&n, &err), 0);
    snprintf(path, sizeof path, "%s/%s", folder, n.id);
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        FILE *f = fopen(path, "w");
        assert_non_null(f);
        fputs(texts[i], f);
        fclose(f);
        assert_false(is_noted(&n));
    }
    network_sweep(top);
    assert_int_equal(access(path, F_OK), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_there_and_back),
        cmocka_unit_test(test_what_it_is_no_more),
        cmocka_unit_test(test_this_machines_own),
        cmocka_unit_test(test_what_was_never_named),
        cmocka_unit_test(test_a_pid_that_is_another_ones),
        cmocka_unit_test(test_what_is_no_name),
        cmocka_unit_test(test_what_is_not_whole),
    };

    return cmocka_run_group_tests(tests, make, drop);
}
