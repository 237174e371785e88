/* sftp-server's arguments, and what is read of its stderr. */
#include "config.h"

#include "base/file.h"
#include "channel/tap.h"
#include "session/sftp_arguments.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define S(s) ((char *)(s))

static void assert_arguments(const struct policy *p, bool logged, const char *asked,
                             const char *wanted)
{
    cleanup_strings struct strings argv = {0};
    cleanup_text struct text seen = {0};

    assert_int_equal(sftp_arguments(&argv, p, asked, logged), 0);
    for (size_t i = 0; i < argv.count; i++)
        text_printf(&seen, "%s%s", i ? "|" : "", argv.items[i]);
    assert_string_equal(text_str(&seen), wanted);
}

static void test_subsystems_own(void **state)
{
    const struct policy p = {.umask = DEFAULT_UMASK};

    (void)state;
    assert_arguments(&p, false, NULL, "");
    assert_arguments(&p, false, "internal-sftp", "");
    assert_arguments(&p, false, "x/sftp-server  -f\tAUTH --strange y", "-f|AUTH|--strange|y");
    assert_arguments(&p, true, NULL, "-e|-l|INFO");
    assert_arguments(&p, true, "internal-sftp -f AUTH -l VERBOSE -u 0027 -R",
                     "-u|0027|-R|-e|-l|VERBOSE");
    assert_arguments(&p, true, "internal-sftp -eRlDEBUG3 -Premove,rename -d /srv",
                     "-R|-P|remove,rename|-d|/srv|-e|-l|DEBUG3");
}

/* A client that may ask for sftp can ask with any arguments. */
static void test_binding(void **state)
{
    const struct policy p = {.umask = 0077, .sftp_root = S("/srv/100%"), .sftp_read_only = true};
    static const char ours[] = "-e|-l|INFO|-d|/srv/100%%|-R|-u|0077";
    static const char *const asked[] = {
        "sftp-server -l QUIET",
        "sftp-server -d",
        "sftp-server -u",
        "sftp-server -Q",
        "sftp-server --",
        "sftp-server x",
        "sftp-server -- -l x",
        "sftp-server -c",
        "sftp-server -h -Q requests",
        "sftp-server -l",
        "sftp-server -",
        "sftp-server -d / -Re",
        "sftp-server -lQUIET -c-lx -hQ",
    };

    (void)state;
    for (size_t i = 0; i < sizeof asked / sizeof *asked; i++)
        assert_arguments(&p, true, asked[i], ours);
    assert_arguments(&p, true, "sftp-server -p open -u 0 -P",
                     "-p|open|-u|0|-e|-l|INFO|-d|/srv/100%%|-R");
    assert_arguments(&p, false, "sftp-server -e -l QUIET x",
                     "-e|-l|QUIET|-d|/srv/100%%|-R|-u|0077");
}

static void note(void *data, const char *record, size_t len)
{
    struct text *seen = data;

    text_puts(seen, "[");
    text_add(seen, record, len);
    text_puts(seen, "]");
}

/* One write, one record: a newline in a file's name begins no other. */
static void test_packets(void **state)
{
    cleanup_text struct text seen = {0};
    cleanup_error struct error *err = NULL;
    struct tap tap = {.fd = -1, .take = note, .data = &seen};
    char longest[3 * TAP_RECORD_MAX];
    int theirs;

    (void)state;
    assert_int_equal(tap_open(&tap, &theirs, &err), 0);
    tap_read(&tap);
    assert_int_equal(seen.len, 0);
    assert_int_equal(write(theirs, "open \"a\r\nremove b\"\r\n", 20), 20);
    assert_int_equal(write(theirs, "close\r\n", 7), 7);
    assert_int_equal(write(theirs, "\r\n", 2), 2);
    tap_read(&tap);
    assert_string_equal(text_str(&seen), "[open \"a\r\nremove b\"][close]");
    text_free(&seen);
    memset(longest, 'x', sizeof longest);
    assert_int_equal(write(theirs, longest, sizeof longest), sizeof longest);
    /* Its end is told, and a close before it is read loses nothing. */
    close(theirs);
    tap_close(&tap);
    assert_int_equal(seen.len, 3 * (TAP_RECORD_MAX + 2));
    assert_int_equal(tap.fd, -1);
}

/* Who reads is not woken for each record, and who writes doesn't wait for that. */
static void test_rests(void **state)
{
    cleanup_text struct text seen = {0};
    cleanup_error struct error *err = NULL;
    struct tap tap = {.fd = -1, .take = note, .data = &seen};
    int theirs, timeout = -1;

    (void)state;
    assert_int_equal(tap_slot(NULL, &timeout).fd, -1);
    assert_int_equal(tap_open(&tap, &theirs, &err), 0);
    assert_int_equal(tap_slot(&tap, &timeout).fd, tap.fd);
    assert_int_equal(timeout, -1);
    assert_true(fd_set_nonblock(theirs, true) >= 0);
    for (int i = 0; i < 60; i++)
        assert_int_equal(write(theirs, "line\r\n", 6), 6);
    tap.rest = now_ms() + 60000;
    timeout = 1000000;
    assert_int_equal(tap_slot(&tap, &timeout).fd, -1);
    assert_in_range(timeout, 1, 60000);
    timeout = 1;
    (void)tap_slot(&tap, &timeout);
    assert_int_equal(timeout, 1);
    tap.rest = 0;
    tap_read(&tap);
    assert_int_equal(seen.len, 60 * 6);
    assert_true(tap.rest > 0);
    pause_ms(50);
    assert_int_equal(tap_slot(&tap, &timeout).fd, tap.fd);
    close(theirs);
    tap_close(&tap);
}

/* However they are cut into pieces. */
static void test_lines(void **state)
{
    static const char bytes[] = "open \"a\"\r\nclose\n\r\n\nlast";

    (void)state;
    for (size_t piece = 1; piece < sizeof bytes; piece++) {
        cleanup_text struct text seen = {0};
        struct tap tap = {.fd = -1, .take = note, .data = &seen};
        for (size_t at = 0; at < sizeof bytes - 1; at += piece) {
            size_t left = sizeof bytes - 1 - at;
            tap_feed(&tap, bytes + at, left < piece ? left : piece);
        }
        tap_close(&tap);
        assert_string_equal(text_str(&seen), "[open \"a\"][close][last]");
    }
    cleanup_text struct text seen = {0};
    struct tap tap = {.fd = -1, .take = note, .data = &seen};
    for (int i = 0; i < 3 * TAP_RECORD_MAX; i++)
        tap_feed(&tap, "x", 1);
    tap_feed(&tap, "\nshort", 6);
    tap_close(&tap);
    assert_int_equal(seen.len, TAP_RECORD_MAX + 2 + 7);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_subsystems_own), cmocka_unit_test(test_binding),
        cmocka_unit_test(test_packets),        cmocka_unit_test(test_rests),
        cmocka_unit_test(test_lines),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
