#include "config.h"

#include "protocol/start.h"

#include "protocol/message.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void make(struct start *s, enum start_kind kind)
{
    *s = (struct start){.kind = kind,
                        .shell = strdup(""),
                        .cwd = strdup("/srv"),
                        .umask = 0027,
                        .missing = strdup(kind == START_PROGRAM ? "no sftp-server" : "")};
    if (kind == START_COMMAND)
        strings_add(&s->argv, "echo \xff\n");
    if (kind == START_PROGRAM) {
        strings_add(&s->argv, "-f");
        strings_add(&s->argv, "");
        strings_add(&s->programs, "/usr/lib/sftp-server");
        strings_add(&s->programs, "/.berth/sftp-server");
    }
    strings_add(&s->env, "LANG=C");
    strings_add(&s->env, "EMPTY=");
}

static void make_terminal(struct start *s)
{
    s->tty = true;
    s->window = (struct winsize){.ws_row = 65535, .ws_col = 101};
    s->termios.c_iflag = ICRNL | IXON;
    s->termios.c_oflag = OPOST;
    s->termios.c_cflag = CS8 | CREAD;
    s->termios.c_lflag = ISIG | 0x40000000;
    cfsetispeed(&s->termios, B9600);
    cfsetospeed(&s->termios, B9600);
    for (int i = 0; i < NCCS; i++)
        s->termios.c_cc[i] = (cc_t)(i * 9);
}

static void same_list(const struct strings *a, const struct strings *b)
{
    assert_int_equal(a->count, b->count);
    for (size_t i = 0; i < a->count; i++)
        assert_string_equal(a->items[i], b->items[i]);
}

static void same(const struct start *a, const struct start *b)
{
    assert_int_equal(a->kind, b->kind);
    assert_int_equal(a->tty, b->tty);
    assert_string_equal(a->shell, b->shell);
    assert_string_equal(a->cwd, b->cwd);
    assert_int_equal(a->umask, b->umask);
    assert_string_equal(a->missing, b->missing);
    same_list(&a->argv, &b->argv);
    same_list(&a->programs, &b->programs);
    same_list(&a->env, &b->env);
    assert_int_equal(a->window.ws_row, b->window.ws_row);
    assert_int_equal(a->window.ws_col, b->window.ws_col);
    assert_int_equal(a->termios.c_iflag, b->termios.c_iflag);
    assert_int_equal(a->termios.c_oflag, b->termios.c_oflag);
    assert_int_equal(a->termios.c_cflag, b->termios.c_cflag);
    assert_int_equal(a->termios.c_lflag, b->termios.c_lflag);
    assert_int_equal(cfgetospeed(&a->termios), cfgetospeed(&b->termios));
    assert_memory_equal(a->termios.c_cc, b->termios.c_cc, NCCS);
}

/* And whatever is cut off, at any place, or added, is malformed. */
static void test_round_trip(void **state)
{
    (void)state;
    for (int n = START_LOGIN; n <= START_WARM * 2; n++) {
        struct start start, again;
        cleanup_text struct text payload = {0};
        const char *why = NULL;

        make(&start, (enum start_kind)((n - 1) % 3 + 1));
        if (n > START_WARM)
            make_terminal(&start);
        assert_int_equal(start_write(&payload, &start, &why), 0);
        assert_null(why);
        assert_int_equal(start_read(&again, payload.data, payload.len, &why), 0);
        same(&start, &again);
        start_clear(&again);
        for (size_t len = 0; len < payload.len; len++) {
            char *copy = malloc(len + 1);
            assert_non_null(copy);
            memcpy(copy, payload.data, len);
            assert_int_equal(start_read(&again, copy, len, &why), -1);
            assert_non_null(why);
            assert_null(again.shell);
            free(copy);
        }
        text_add(&payload, "", 1);
        assert_int_equal(start_read(&again, payload.data, payload.len, &why), -1);
        start_clear(&start);
    }
}

/* kind, tty, shell, cwd, umask, argv, programs, missing, env */
static void test_malformed(void **state)
{
#define SHELL "\0\0\0\0"
#define NONE  "\0\0\0\0"
#define CWD   NONE "\0\22"
    static const struct {
        const char *bytes;
        size_t len;
    } bad[] = {
#define BAD(s) {s, sizeof(s) - 1}
        BAD("\0\0" SHELL CWD NONE NONE NONE NONE),                        /* kind */
        BAD("\5\0" SHELL CWD NONE NONE NONE NONE),                        /* kind */
        BAD("\1\2" SHELL CWD NONE NONE NONE NONE),                        /* tty */
        BAD("\1\0\0\0\0\2sh" CWD NONE NONE NONE NONE),                    /* shell */
        BAD("\1\0\0\0\0\3/\0h" CWD NONE NONE NONE NONE),                  /* NUL */
        BAD("\1\0\0\1\xff\xff" CWD NONE NONE NONE NONE),                  /* too long */
        BAD("\1\0\xff\xff\xff\xff" CWD NONE NONE NONE NONE),              /* too long */
        BAD("\1\0" SHELL CWD "\0\0\0\1\0\0\0\1a" NONE NONE NONE),         /* login with argv */
        BAD("\2\0" SHELL CWD NONE NONE NONE NONE),                        /* no command */
        BAD("\3\0" SHELL CWD NONE NONE NONE NONE),                        /* no program */
        BAD("\3\0" SHELL CWD NONE "\0\0\0\1\0\0\0\1a" NONE NONE),         /* relative */
        BAD("\1\0" SHELL NONE "\2\0" NONE NONE NONE NONE),                /* umask */
        BAD("\1\0" SHELL CWD "\xff\xff\xff\xff"),                         /* count */
        BAD("\1\0" SHELL CWD NONE NONE "\0\0\0\1x" NONE),                 /* missing */
        BAD("\1\0" SHELL CWD NONE NONE NONE "\0\0\0\1\0\0\0\2=a"),        /* nameless */
        BAD("\1\0" SHELL CWD NONE NONE NONE "\0\0\0\1\0\0\0\2aa"),        /* no value */
        BAD("\1\0" SHELL CWD NONE NONE NONE "\0\0\0\2\0\0\0\3a=b\0\0\0"), /* cut */
    };

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct start start;
        const char *why = NULL;
        assert_int_equal(start_read(&start, bad[i].bytes, bad[i].len, &why), -1);
        assert_non_null(why);
        assert_null(start.shell);
    }
}

/* A string, a list and the whole: the longest that goes, and one more. */
static void test_bounds(void **state)
{
    struct start start;
    const char *why;
    char *longest = malloc(MESSAGE_STRING_MAX + 2);

    (void)state;
    assert_non_null(longest);
    memset(longest, 'x', MESSAGE_STRING_MAX + 1);
    longest[1] = '=';
    longest[MESSAGE_STRING_MAX + 1] = '\0';
    make(&start, START_LOGIN);
    strings_add(&start.env, longest);
    cleanup_text struct text one = {0};
    assert_int_equal(start_write(&one, &start, &why), -1);
    assert_non_null(why);
    start.env.items[2][MESSAGE_STRING_MAX] = '\0';
    cleanup_text struct text two = {0};
    assert_int_equal(start_write(&two, &start, &why), 0);
    for (int i = 0; i < 16; i++)
        strings_add(&start.env, start.env.items[2]);
    cleanup_text struct text three = {0};
    assert_int_equal(start_write(&three, &start, &why), -1);
    assert_non_null(why);
    start_clear(&start);

    make(&start, START_LOGIN);
    while (start.env.count < MESSAGE_LIST_MAX)
        strings_add(&start.env, "A=b");
    cleanup_text struct text four = {0};
    assert_int_equal(start_write(&four, &start, &why), 0);
    strings_add(&start.env, "A=b");
    cleanup_text struct text five = {0};
    assert_int_equal(start_write(&five, &start, &why), -1);
    start_clear(&start);
    free(longest);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_malformed),
        cmocka_unit_test(test_bounds),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
