/* The file with the cookies of displays, which the client fills. */
#include "config.h"

#include "session/xauthority.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define BYTES(s)     (const unsigned char *)(s), sizeof(s) - 1
#define MIT          "\0\022MIT-MAGIC-COOKIE-1"
#define COOKIE       "\0\0200123456789abcdef"
#define HOST         "\001\0\0\002vm"
#define ENTRY(n)     HOST "\0\002" n MIT COOKIE
#define OTHER(n)     HOST "\0\002" n MIT "\0\020fedcba9876543210"
#define NAMED(n, as) HOST "\0\002" n as COOKIE

static void assert_none(unsigned number, const unsigned char *data, size_t len, const char *why)
{
    struct error *err = NULL;
    struct cookie cookie = {0};
    /* Of that size and no more, so that a sanitizer sees what is read past it. */
    unsigned char *copy = malloc(len + !len);

    memcpy(copy, data, len);
    assert_int_equal(xauthority_find(&cookie, number, copy, len, &err), -1);
    assert_non_null(strstr(error_text(err), why));
    assert_int_equal(cookie.len, 0);
    error_clear(&err);
    free(copy);
}

static void test_found(void **state)
{
    static const char file[] = OTHER("11") ENTRY("10") OTHER("12");
    struct error *err = NULL;
    struct cookie cookie;

    (void)state;
    assert_int_equal(xauthority_find(&cookie, 10, BYTES(file), &err), 0);
    assert_int_equal(cookie.len, 16);
    assert_memory_equal(cookie.bytes, "0123456789abcdef", 16);
    assert_int_equal(xauthority_find(&cookie, 12, BYTES(file), &err), 0);
    assert_memory_equal(cookie.bytes, "fedcba9876543210", 16);
}

static void test_not_found(void **state)
{
    (void)state;
    assert_none(10, BYTES(""), "none for its display");
    assert_none(10, BYTES(OTHER("11")), "none for its display");
    assert_none(1, BYTES(ENTRY("10")), "none for its display");
    assert_none(100, BYTES(ENTRY("10")), "none for its display");
    /* It is the number's text that counts. */
    assert_none(8, BYTES(ENTRY("08")), "none for its display");
}

static void test_no_cookie(void **state)
{
    static char long_one[sizeof HOST + 64 + 70];
    static const char begin[] = HOST "\0\00210" MIT "\0\101";

    (void)state;
    assert_none(10, BYTES(NAMED("10", "\0\023XDM-AUTHORIZATION-1")), "no MIT-MAGIC-COOKIE-1");
    assert_none(10, BYTES(NAMED("10", "\0\023MIT-MAGIC-COOKIE-1\0")), "no MIT-MAGIC-COOKIE-1");
    assert_none(10, BYTES(HOST "\0\00210" MIT "\0\0"), "no MIT-MAGIC-COOKIE-1");
    memcpy(long_one, begin, sizeof begin - 1);
    assert_none(10, (unsigned char *)long_one, sizeof begin - 1 + 65, "no MIT-MAGIC-COOKIE-1");
}

/* At each byte of an entry but the last: what is there before the break is no cookie. */
static void test_broken_off(void **state)
{
    static const char file[] = ENTRY("10");

    (void)state;
    for (size_t len = 1; len < sizeof file - 1; len++)
        assert_none(10, (const unsigned char *)file, len, "breaks off");
    assert_none(10, BYTES("\001\0\377\377x"), "breaks off");
    assert_none(10, BYTES(OTHER("11") "\001"), "breaks off");
}

static void test_there_and_back(void **state)
{
    unsigned char entry[XAUTHORITY_ENTRY_MAX];
    struct cookie cookie = {.len = XAUTHORITY_COOKIE_MAX}, read;
    struct error *err = NULL;

    (void)state;
    memset(cookie.bytes, 0xa5, sizeof cookie.bytes);
    size_t len = xauthority_write(entry, 4294967295U, &cookie);
    assert_true(len <= sizeof entry);
    assert_int_equal(xauthority_find(&read, 4294967295U, entry, len, &err), 0);
    assert_int_equal(read.len, cookie.len);
    assert_memory_equal(read.bytes, cookie.bytes, cookie.len);
    /* Whatever the host is called. */
    assert_memory_equal(entry, "\377\377\0\0", 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_found),          cmocka_unit_test(test_not_found),
        cmocka_unit_test(test_no_cookie),      cmocka_unit_test(test_broken_off),
        cmocka_unit_test(test_there_and_back),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
