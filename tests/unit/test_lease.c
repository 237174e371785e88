#include "config.h"

#include "session/lease.h"

#include "base/file.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <cmocka.h>

static char top[] = "/tmp/berth-lease-XXXXXX";
static char own[64], lock[96];

static int make(void **state)
{
    (void)state;
    if (!mkdtemp(top) || chmod(top, 01777) < 0)
        return -1;
    snprintf(own, sizeof own, "%s/%u", top, (unsigned)getuid());
    snprintf(lock, sizeof lock, "%s/00000000000000a1.lock", own);
    return 0;
}

static int drop(void **state)
{
    (void)state;
    return rmdir(own) == 0 && rmdir(top) == 0 ? 0 : -1;
}

static void need_root(void)
{
    if (getuid() != 0)
        skip(); /* a runtime directory must be root's */
}

static bool end_it(void *data, const struct lease *stale)
{
    unsigned *count = data;
    long long age;

    assert_string_equal(stale->session, "00000000000000a1");
    assert_int_equal(lease_noted(stale, &age), 'c');
    assert_true(age >= 0 && age < 60);
    lease_end(stale);
    (*count)++;
    return true;
}

static void test_life(void **state)
{
    struct lease lease, other;
    struct error *err = NULL;
    unsigned count = 0;

    (void)state;
    need_root();
    assert_int_equal(lease_take(&lease, top, getuid(), "00000000000000a1", &err), 0);
    /* Killed here, it would leave nothing. */
    assert_int_equal(access(lock, F_OK), -1);
    assert_int_equal(lease_publish(&lease, &err), 0);
    lease_note(&lease, 'i');
    lease_note(&lease, 'c');
    assert_int_equal(access(lock, F_OK), 0);
    assert_int_equal(lease_take(&other, top, getuid(), "00000000000000b2", &err), 0);
    assert_int_equal(lease_publish(&other, &err), 0);
    /* Both live: neither is stale for the other. */
    lease_each_stale(&other, end_it, &count);
    assert_int_equal(count, 0);
    /* Its holders are gone, the file is not. */
    lease_close(&lease);
    lease_each_stale(&other, end_it, &count);
    assert_int_equal(count, 1);
    assert_int_equal(access(lock, F_OK), -1);
    lease_each_stale(&other, end_it, &count);
    assert_int_equal(count, 1);
    lease_end(&other);
    lease_close(&other);
}

static void assert_refused(const char *dir, const char *why)
{
    struct lease lease;
    struct error *err = NULL;

    assert_int_equal(lease_take(&lease, dir, getuid(), "00000000000000a1", &err), -1);
    if (!strstr(error_text(err), why))
        fail_msg("wanted \"%s\" in \"%s\"", why, error_text(err));
    error_clear(&err);
    lease_close(&lease);
}

static void test_refused(void **state)
{
    (void)state;
    need_root();
    assert_refused("/nonexistent/berth", "cannot open");
    chmod(top, 0777);
    assert_refused(top, "it isn't sticky");
    chmod(top, 01777);
    chmod(own, 0755);
    assert_refused(top, "must be uid");
    rmdir(own);
    assert_int_equal(symlink("/tmp", own), 0);
    assert_refused(top, "remove what is there");
    unlink(own);
    mkdir(own, 0700);
    assert_int_equal(chown(own, 65534, 65534), 0);
    assert_refused(top, "owned by uid 65534");
    assert_int_equal(chown(own, 0, 0), 0);
    assert_int_equal(chown(top, 65534, 0), 0);
    assert_refused(top, "must be root's");
    assert_int_equal(chown(top, 0, 0), 0);
}

static bool count_it(void *data, const struct lease *stale)
{
    unsigned *count = data;

    (void)stale;
    (*count)++;
    return true;
}

/* A user may put anything into his own directory. */
static void test_hostile_files(void **state)
{
    struct lease lease;
    struct error *err = NULL;
    unsigned count = 0;
    char path[128];

    (void)state;
    need_root();
    assert_int_equal(lease_open(&lease, top, getuid(), "user", &err), 0);
    snprintf(path, sizeof path, "%s/user.lock", own);
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_int_equal(lease_peek(&lease), -1);
    assert_true(lease_is_there(&lease));
    assert_int_equal(lease_try(&lease, true, &err), -1);
    error_clear(&err);
    lease_close(&lease);
    assert_int_equal(lease_find(&lease, top, getuid(), "", &err), 0);
    lease_each_stale(&lease, count_it, &count);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(symlink("/dev/null", lock), 0);
    lease_each_stale(&lease, count_it, &count);
    assert_int_equal(unlink(lock), 0);
    assert_int_equal(mknod(lock, S_IFCHR | 0600, makedev(1, 5)), 0);
    lease_each_stale(&lease, count_it, &count);
    assert_int_equal(unlink(lock), 0);
    assert_int_equal(mkdir(lock, 0700), 0);
    lease_each_stale(&lease, count_it, &count);
    assert_int_equal(rmdir(lock), 0);
    assert_int_equal(count, 0);
    lease_close(&lease);
}

static void test_find(void **state)
{
    struct lease lease;
    struct error *err = NULL;

    (void)state;
    need_root();
    assert_int_equal(lease_find(&lease, top, 54321, "user", &err), -1);
    assert_int_equal(error_kind(err), ERROR_NOT_FOUND);
    error_clear(&err);
    assert_int_equal(lease_find(&lease, top, getuid(), "user", &err), 0);
    assert_false(lease_is_there(&lease));
    /* Who only looks makes nothing. */
    assert_int_equal(lease_try(&lease, true, &err), -1);
    error_clear(&err);
    assert_false(lease_is_there(&lease));
    lease_close(&lease);
    assert_int_equal(lease_open(&lease, top, getuid(), "user", &err), 0);
    assert_int_equal(lease_try(&lease, true, &err), 1);
    assert_true(lease_is_there(&lease));
    lease_end(&lease);
    assert_false(lease_is_there(&lease));
    lease_close(&lease);
}

/* Its keeper's lock is none that a login or a sweep waits for, and is seen from another open
 * file alone. */
static void test_kept(void **state)
{
    struct lease keeper, lease;
    struct error *err = NULL;

    (void)state;
    need_root();
    assert_int_equal(lease_open(&keeper, top, getuid(), "user", &err), 0);
    assert_false(lease_keep(&keeper));
    assert_int_equal(lease_open(&lease, top, getuid(), "user", &err), 0);
    assert_int_equal(lease_try(&lease, true, &err), 1);
    assert_false(lease_is_kept(&lease));
    assert_true(lease_keep(&keeper));
    assert_true(lease_is_kept(&lease));
    assert_false(lease_is_kept(&keeper));
    assert_int_equal(lease_try(&lease, false, &err), 1);
    lease_unlock(&keeper);
    assert_false(lease_is_kept(&lease));
    lease_end(&lease);
    lease_close(&lease);
    lease_close(&keeper);
}

static void test_keys(void **state)
{
    (void)state;
    assert_true(lease_is_key("user"));
    assert_true(lease_is_key("00000000000000a1"));
    assert_true(lease_is_key("n0000000000000a1"));
    assert_true(lease_is_key("u0000000000000a1"));
    assert_true(lease_is_shared("u0000000000000a1"));
    assert_false(lease_is_connections("u0000000000000a1"));
    assert_false(lease_is_key("u00000000000000a1"));
    assert_false(lease_is_key("u"));
    assert_false(lease_is_key("un00000000000000"));
    assert_false(lease_is_key(""));
    assert_false(lease_is_key("n"));
    assert_false(lease_is_key("users"));
    assert_false(lease_is_key("00000000000000A1"));
    assert_false(lease_is_key("0n000000000000a1"));
    assert_false(lease_is_key("00000000000000a1b"));
    assert_false(lease_is_key("../../../../../x"));
}

static void note_user(void *data, uid_t uid)
{
    unsigned *sum = data;

    *sum += (unsigned)uid;
}

static void test_users(void **state)
{
    static const char *const names[] = {"1",          "20", "0300", "4294967295",
                                        "4294967297", "-1", "x",    " 5"};
    struct error *err = NULL;
    unsigned sum = 0;
    char path[96];

    (void)state;
    need_root();
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        snprintf(path, sizeof path, "%s/%s", top, names[i]);
        assert_int_equal(mkdir(path, 0700), 0);
    }
    snprintf(path, sizeof path, "%s/4000", top);
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_int_equal(lease_each_user(top, note_user, &sum, &err), 0);
    assert_int_equal(sum, 21); /* and root's own */
    assert_int_equal(unlink(path), 0);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        snprintf(path, sizeof path, "%s/%s", top, names[i]);
        assert_int_equal(rmdir(path), 0);
    }
    assert_int_equal(lease_each_user("/nonexistent/berth", note_user, &sum, &err), -1);
    error_clear(&err);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_life),  cmocka_unit_test(test_hostile_files),
        cmocka_unit_test(test_find),  cmocka_unit_test(test_keys),
        cmocka_unit_test(test_users), cmocka_unit_test(test_refused),
        cmocka_unit_test(test_kept),
    };

    return cmocka_run_group_tests(tests, make, drop);
}
