#include "config.h"

#include "session/twin.h"

#include <fcntl.h>
#include <pwd.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define OWN "alice:x:2001:2001::/home/alice:/bin/sh\n"
#define BOB "bob:x:2001:2001::/home/bob:/bin/sh\n"

static char path[] = "/tmp/berth-twin-XXXXXX";

static int make(void **state)
{
    (void)state;
    int fd = mkstemp(path);
    return fd < 0 ? -1 : close(fd);
}

static int drop(void **state)
{
    (void)state;
    return unlink(path);
}

static void put_bytes(const char *text, size_t len)
{
    FILE *file = fopen(path, "we");

    assert_non_null(file);
    assert_int_equal(fwrite(text, 1, len, file), len);
    assert_int_equal(fclose(file), 0);
}

static char *find(uid_t uid)
{
    static char own[] = "alice";
    const struct account account = {.name = own, .uid = uid};
    struct error *err = NULL;
    char *name;

    assert_int_equal(twin_find(path, &account, &name, &err), 0);
    assert_null(err);
    return name;
}

/* What fgetpwent(3) says. */
static char *reference(uid_t uid)
{
    const struct passwd *pw;
    char *name = NULL;
    FILE *file = fopen(path, "re");

    assert_non_null(file);
    while (!name && (pw = fgetpwent(file)))
        if (pw->pw_uid == uid && strcmp(pw->pw_name, "alice") != 0)
            name = strdup(pw->pw_name);
    fclose(file);
    return name;
}

static void assert_same(const char *text, size_t len, const char *wanted)
{
    put_bytes(text, len);
    cleanup_string char *name = find(2001), *other = reference(2001);

    if (strcmp(name ? name : "none", wanted ? wanted : "none") != 0)
        fail_msg("%.60s: wanted %s, saw %s", text, wanted, name);
    if (strcmp(other ? other : "none", wanted ? wanted : "none") != 0)
        fail_msg("%.60s: wanted %s, fgetpwent sees %s", text, wanted, other);
}

static void assert_twin(const char *text, const char *wanted)
{
    assert_same(text, strlen(text), wanted);
}

static void test_who_shares_a_uid(void **state)
{
    (void)state;
    assert_twin("", NULL);
    assert_twin(OWN, NULL);
    assert_twin(OWN OWN, NULL);
    assert_twin(OWN BOB, "bob");
    assert_twin(BOB OWN, "bob");
    assert_twin("carla:x:2001:5:::\n" OWN BOB, "carla");
    assert_twin("dora:x:20011:5:::\nemil:x:201:5:::\nfred:x:5:2001:::\n" OWN, NULL);
    /* The last line without its end. */
    assert_twin(OWN "bob:x:2001:2001::/home/bob:/bin/sh", "bob");
    assert_twin("alic:x:2001:5:::\n" OWN, "alic");
    assert_twin("alicex:x:2001:5:::\n" OWN, "alicex");
}

/* What there is none of in a file that vipw(8) wrote. */
static void test_odd_lines(void **state)
{
    (void)state;
    assert_twin("#bob:x:2001:5:::\n\n \n" OWN, NULL);
    assert_twin("  #bob:x:2001:5:::\n" OWN, NULL);
    assert_twin("  bob:x:2001:5:::\n", "bob");
    assert_twin("bob:x: 2001:5:::\n", "bob");
    assert_twin("bob:x:02001:5:::\n", "bob");
    assert_twin("bob:x:+2001:5:::\n", "bob");
    assert_twin("bob:x:2001:5\n", "bob");
    assert_twin("bob::2001:5:a:b:c:d:e\n", "bob");
    assert_twin(":x:2001:5:::\n", "");
}

static void test_malformed_lines(void **state)
{
    (void)state;
    assert_twin("bob\nbob:\nbob:x\nbob:x:\n", NULL);
    assert_twin("bob:x:2001\nbob:x:2001:\nbob:x:2001:x:::\nbob:x:2001:5x:::\n", NULL);
    assert_twin("bob:x:2001x:5:::\nbob:x:0x7d1:5:::\nbob:x:2001 :5:::\nbob:x::5:::\n", NULL);
    assert_twin("bob:x:x:5:::\nbob:2001:5:::\n", NULL);
    /* Whatever stands there, the next line counts. */
    assert_twin("bob:x:2001\ncarla:x:2001:5:::\n", "carla");
    assert_same("bob\0:x:2001:5:::\ncarla:x:2001:5:::\n", 35, "carla");
}

static void test_numbers_that_are_too_large(void **state)
{
    (void)state;
    /* Cut to 32 or 64 bits they would be his. */
    assert_twin("bob:x:4294969297:5:::\n", NULL);
    assert_twin("bob:x:18446744073709553617:5:::\n", NULL);
    assert_twin("bob:x:99999999999999999999999:5:::\n", NULL);
    assert_twin("bob:x:2001:4294967296:::\n", NULL);
    assert_twin("bob:x:2001:4294967295:::\n", "bob");
    put_bytes("bob:x:4294967295:5:::\n", 22);
    cleanup_string char *name = find(UINT32_MAX);
    assert_string_equal(name, "bob");
}

/* They are no names: "+bob" is bob as NIS has him, and his uid isn't here. */
static void test_lines_of_nis(void **state)
{
    static const char *const lines[] = {"+\n",
                                        "+::::::\n",
                                        "-bob\n",
                                        "+bob::2001:5:::\n",
                                        "+@all:x:2001:5:::\n",
                                        "-bob:x:2001:5:::\n"};

    (void)state;
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        put_bytes(lines[i], strlen(lines[i]));
        assert_null(find(2001));
        assert_null(find(0));
    }
}

/* A line of any length around what the parts of it hold; the one behind it counts. */
static void test_long_lines(void **state)
{
    enum { MOST = 70000 };
    static const size_t lengths[] = {4000,  4090,  4091,  4092,  4093,  4094, 4095,
                                     4096,  4097,  8189,  8190,  8191,  8192, 32766,
                                     32767, 32768, 32769, 65535, 65536, MOST};
    static char text[MOST + 256];

    (void)state;
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        int len = snprintf(text, sizeof text, "dora:x:5:5:");
        memset(text + len, 'y', lengths[i] - (size_t)len);
        /* What would be a line if it began there. */
        memcpy(text + lengths[i] - sizeof BOB, BOB, sizeof BOB - 2);
        memcpy(text + lengths[i], "\n", 2);
        assert_twin(text, NULL);
        memcpy(text + lengths[i], "\ncarla:x:2001:5:::\n", 20);
        assert_twin(text, "carla");
        memcpy(text, "dora:x:2001:5:", 14);
        assert_twin(text, "dora");
    }
}

static void test_many_accounts(void **state)
{
    FILE *file = fopen(path, "we");

    (void)state;
    assert_non_null(file);
    for (int i = 0; i < 20000; i++)
        fprintf(file, "user-%d:x:%d:100:User %d,,,:/home/user-%d:/bin/bash\n", i, 100000 + i, i, i);
    fputs("bob:x:119999:100:::\n", file);
    assert_int_equal(fclose(file), 0);
    cleanup_string char *first = find(100000), *last = find(119999), *none = find(99999);
    assert_string_equal(first, "user-0");
    assert_string_equal(last, "user-19999");
    assert_null(none);
}

static void test_no_file(void **state)
{
    static char own[] = "alice";
    const struct account account = {.name = own, .uid = 2001};
    struct error *err = NULL;
    char *name;

    (void)state;
    assert_int_equal(twin_find("/nonexistent/passwd", &account, &name, &err), 0);
    assert_null(name);
    /* What can't be read doesn't say that there is none. */
    assert_int_equal(twin_find("/", &account, &name, &err), -1);
    assert_null(name);
    error_clear(&err);
    assert_int_equal(twin_find("/etc/passwd/passwd", &account, &name, &err), -1);
    error_clear(&err);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_who_shares_a_uid), cmocka_unit_test(test_odd_lines),
        cmocka_unit_test(test_malformed_lines),  cmocka_unit_test(test_numbers_that_are_too_large),
        cmocka_unit_test(test_lines_of_nis),     cmocka_unit_test(test_long_lines),
        cmocka_unit_test(test_many_accounts),    cmocka_unit_test(test_no_file),
    };

    return cmocka_run_group_tests(tests, make, drop);
}
