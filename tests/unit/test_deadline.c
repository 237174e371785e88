#include "config.h"

#include "channel/deadline.h"

#include "base/file.h"
#include "policy/limit.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

/* In place of base/file.c's (ld(1), --wrap): time passes where a test says so. */
static long long now = 5000;
long long __wrap_now_ms(void);
long long __wrap_now_ms(void)
{
    return now;
}

/* What is written to the terminal, a pipe that doesn't block. */
static void open_terminal(int ends[2])
{
    assert_int_equal(pipe2(ends, O_CLOEXEC | O_NONBLOCK), 0);
}

static void expect_warning(const int ends[2], const char *text)
{
    char seen[200] = "";
    ssize_t n = read(ends[0], seen, sizeof seen - 1);

    seen[n > 0 ? n : 0] = '\0';
    assert_string_equal(seen, text);
}

static void close_terminal(const int ends[2])
{
    close(ends[0]);
    close(ends[1]);
}

static void test_no_limit(void **state)
{
    struct deadline d = {0};

    (void)state;
    assert_int_equal(deadline_turn(&d, -1), -1);
    assert_int_equal(deadline_turn(&d, 7), 7);
    deadline_moved(&d);
    deadline_start(&d, 0, 0, 1);
    now += 1LL << 40;
    assert_int_equal(deadline_turn(&d, -1), -1);
    assert_false(deadline_done(&d, false));
}

static void test_max_time(void **state)
{
    struct deadline d;

    (void)state;
    deadline_start(&d, 10, 0, -1);
    assert_int_equal(deadline_turn(&d, -1), 10000);
    assert_int_equal(deadline_turn(&d, 5), 5);
    now += 9000;
    deadline_moved(&d); /* bytes don't count here */
    assert_int_equal(deadline_turn(&d, -1), 1000);
    assert_false(deadline_done(&d, false));
    now += 1000;
    assert_int_equal(deadline_turn(&d, 5), 0);
    assert_int_equal(d.over, DEADLINE_MAX_TIME);
    assert_true(deadline_done(&d, false));
}

/* poll() takes an int. */
static void test_ten_years(void **state)
{
    struct deadline d;

    (void)state;
    deadline_start(&d, 3650LL * 86400, 0, -1);
    assert_int_equal(deadline_turn(&d, -1), INT32_MAX);
}

static void test_idle(void **state)
{
    struct deadline d;

    (void)state;
    deadline_start(&d, 0, 10, -1);
    now += 9000;
    assert_int_equal(deadline_turn(&d, -1), 1000);
    deadline_moved(&d);
    assert_int_equal(deadline_turn(&d, -1), 10000);
    now += 10000;
    assert_int_equal(deadline_turn(&d, -1), 0);
    assert_int_equal(d.over, DEADLINE_IDLE);
}

/* What moved as the time ran out did so before the end. */
static void test_a_byte_at_the_last_moment(void **state)
{
    struct deadline d;

    (void)state;
    deadline_start(&d, 0, 10, -1);
    now += 10000;
    deadline_moved(&d);
    assert_int_equal(deadline_turn(&d, -1), 10000);
    assert_int_equal(d.over, DEADLINE_NOT_YET);
}

static void test_both_the_earlier_counts(void **state)
{
    struct deadline d;

    (void)state;
    deadline_start(&d, 100, 10, -1);
    assert_int_equal(deadline_turn(&d, -1), 10000);
    now += 95000;
    deadline_moved(&d);
    assert_int_equal(deadline_turn(&d, -1), 5000);
    now += 5000;
    assert_int_equal(deadline_turn(&d, -1), 0);
    assert_int_equal(d.over, DEADLINE_MAX_TIME);
}

static void test_flush_is_bounded(void **state)
{
    struct deadline d;

    (void)state;
    deadline_start(&d, 10, 0, -1);
    now += 10000;
    assert_int_equal(deadline_turn(&d, -1), 0);
    assert_false(deadline_done(&d, true));
    assert_int_equal(deadline_turn(&d, -1), DEADLINE_FLUSH_MS);
    now += DEADLINE_FLUSH_MS;
    assert_int_equal(deadline_turn(&d, -1), 0);
    assert_true(deadline_done(&d, true));
}

static void test_warning(void **state)
{
    struct deadline d;
    int ends[2];

    (void)state;
    open_terminal(ends);
    deadline_start(&d, 5400, 0, ends[1]);
    assert_int_equal(deadline_turn(&d, -1), 5400 * 1000 - DEADLINE_WARN_MS);
    expect_warning(ends, "");
    now += 5400 * 1000 - DEADLINE_WARN_MS;
    assert_int_equal(deadline_turn(&d, -1), DEADLINE_WARN_MS);
    expect_warning(ends, "\r\nberth: this session ends in 60 s (max_time = 90m)\r\n");
    assert_int_equal(deadline_turn(&d, -1), DEADLINE_WARN_MS);
    expect_warning(ends, ""); /* once */
    close_terminal(ends);
}

static void test_warning_after_half_of_a_short_time(void **state)
{
    struct deadline d;
    int ends[2];

    (void)state;
    open_terminal(ends);
    deadline_start(&d, 0, 20, ends[1]);
    assert_int_equal(deadline_turn(&d, -1), 10000);
    for (int i = 0; i < 2; i++) {
        now += 10000;
        assert_int_equal(deadline_turn(&d, -1), 10000);
        expect_warning(ends, "\r\nberth: this session ends in 10 s unless something is typed or "
                             "printed (idle_timeout = 20s)\r\n");
        deadline_moved(&d); /* all anew, the warning too */
        assert_int_equal(deadline_turn(&d, -1), 10000);
        expect_warning(ends, "");
    }
    close_terminal(ends);
}

/* A client that reads nothing holds nobody up. */
static void test_warning_to_a_full_terminal(void **state)
{
    struct deadline d;
    int ends[2];

    (void)state;
    open_terminal(ends);
    while (write(ends[1], "x", 1) == 1)
        ;
    deadline_start(&d, 10, 0, ends[1]);
    now += 9000;
    assert_int_equal(deadline_turn(&d, -1), 1000);
    close_terminal(ends);
}

static void test_time_text(void **state)
{
    static const struct {
        long long seconds;
        const char *text;
    } cases[] = {
        {1, "1s"},     {59, "59s"},   {60, "1m"},     {90, "90s"},       {5400, "90m"},
        {14400, "4h"}, {86400, "1d"}, {90000, "25h"}, {90001, "90001s"}, {3650LL * 86400, "3650d"}};

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[LIMIT_TIME_SIZE];
        limit_time_text(text, cases[i].seconds);
        assert_string_equal(text, cases[i].text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_no_limit),
        cmocka_unit_test(test_max_time),
        cmocka_unit_test(test_ten_years),
        cmocka_unit_test(test_idle),
        cmocka_unit_test(test_a_byte_at_the_last_moment),
        cmocka_unit_test(test_both_the_earlier_counts),
        cmocka_unit_test(test_flush_is_bounded),
        cmocka_unit_test(test_warning),
        cmocka_unit_test(test_warning_after_half_of_a_short_time),
        cmocka_unit_test(test_warning_to_a_full_terminal),
        cmocka_unit_test(test_time_text),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
