#include "config.h"

#include "session/rate.h"

#include <fcntl.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define S 1000000000LL

static const struct rate ten_a_minute = {.count = 10, .seconds = 60};

static unsigned how_many(const struct rate *rate, long long *arrival, long long now)
{
    long long wait;
    unsigned n = 0;

    while (n < 1000 && rate_allows(rate, arrival, now, &wait))
        n++;
    return n;
}

static void test_a_burst_and_then_evenly(void **state)
{
    long long arrival = 0, wait;

    (void)state;
    assert_int_equal(how_many(&ten_a_minute, &arrival, 1000 * S), 10);
    assert_false(rate_allows(&ten_a_minute, &arrival, 1000 * S, &wait));
    assert_int_equal(wait, 6 * S);
    /* Who is refused hasn't used anything up. */
    assert_false(rate_allows(&ten_a_minute, &arrival, 1005 * S, &wait));
    assert_int_equal(wait, S);
    assert_int_equal(how_many(&ten_a_minute, &arrival, 1006 * S), 1);
    assert_int_equal(how_many(&ten_a_minute, &arrival, 1024 * S), 3);
    assert_int_equal(how_many(&ten_a_minute, &arrival, 2000 * S), 10);
}

static void test_one_at_a_time(void **state)
{
    const struct rate one = {.count = 1, .seconds = 5};
    long long arrival = 0, wait;

    (void)state;
    assert_int_equal(how_many(&one, &arrival, 7 * S), 1);
    assert_false(rate_allows(&one, &arrival, 12 * S - 1, &wait));
    assert_int_equal(wait, 1);
    assert_int_equal(how_many(&one, &arrival, 12 * S), 1);
}

/* The clock starts anew at a boot; where the file outlives one, nobody waits for
 * what was then. A file that was made up grants no more than an empty one. */
static void test_clocks_that_jump(void **state)
{
    static const long long odd[] = {LLONG_MAX, LLONG_MIN, -1, 900000 * S};

    (void)state;
    for (size_t i = 0; i < sizeof odd / sizeof *odd; i++) {
        long long arrival = odd[i];
        assert_int_equal(how_many(&ten_a_minute, &arrival, 30 * S), 10);
    }
}

static void test_another_rate(void **state)
{
    const struct rate fast = {.count = 100, .seconds = 1};
    long long arrival = 0;

    (void)state;
    assert_int_equal(how_many(&ten_a_minute, &arrival, 100 * S), 10);
    assert_int_equal(how_many(&fast, &arrival, 100 * S), 100);
}

static void test_the_largest_values(void **state)
{
    const struct rate most = {.count = 100000, .seconds = 1};
    const struct rate slow = {.count = 1, .seconds = 366LL * 24 * 3600};
    long long arrival = 0, wait;

    (void)state;
    assert_true(rate_allows(&most, &arrival, S, &wait));
    assert_int_equal(arrival, S + 10000);
    arrival = 0;
    assert_int_equal(how_many(&slow, &arrival, 100 * S), 1);
}

static void test_the_file(void **state)
{
    char path[] = "/tmp/berth-rate-XXXXXX";
    struct error *err = NULL;
    const struct rate two = {.count = 2, .seconds = 1000};
    long long wait_s = 0;

    (void)state;
    assert_non_null(mkdtemp(path));
    int dir = open(path, O_RDONLY | O_DIRECTORY);
    assert_int_equal(rate_take(&two, dir, &wait_s, &err), 1);
    assert_int_equal(rate_take(&two, dir, &wait_s, &err), 1);
    assert_int_equal(rate_take(&two, dir, &wait_s, &err), 0);
    assert_true(wait_s > 490 && wait_s <= 500);
    /* Cut short, or of another version: begun anew. */
    int file = openat(dir, "rate", O_RDWR);
    assert_int_equal(ftruncate(file, 9), 0);
    close(file);
    assert_int_equal(rate_take(&two, dir, &wait_s, &err), 1);
    assert_int_equal(unlinkat(dir, "rate", 0), 0);
    assert_int_equal(mkfifoat(dir, "rate", 0600), 0);
    assert_int_equal(rate_take(&two, dir, &wait_s, &err), -1);
    assert_non_null(strstr(error_text(err), "rate of logins"));
    error_clear(&err);
    assert_int_equal(unlinkat(dir, "rate", 0), 0);
    close(dir);
    assert_int_equal(rmdir(path), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_burst_and_then_evenly), cmocka_unit_test(test_one_at_a_time),
        cmocka_unit_test(test_clocks_that_jump),        cmocka_unit_test(test_another_rate),
        cmocka_unit_test(test_the_largest_values),      cmocka_unit_test(test_the_file),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
