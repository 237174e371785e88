#include "config.h"

#include "base/text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void assert_escaped(const char *in, size_t most, const char *expected)
{
    cleanup_text struct text t = {0};

    text_escape(&t, in, most);
    assert_false(t.failed);
    assert_string_equal(text_str(&t), expected);
}

static void test_escape(void **state)
{
    (void)state;
    assert_escaped("", 10, "");
    assert_escaped("plain", 10, "plain");
    assert_escaped("a\nb\r\x1b[1m", 100, "a\\x0ab\\x0d\\x1b[1m");
    assert_escaped("say \"x\\y\"", 100, "say \\\"x\\\\y\\\"");
    assert_escaped("gr\xc3\xbc\xc3\x9f", 100, "gr\xc3\xbc\xc3\x9f");
    /* A C1 control in valid UTF-8 moves a terminal's cursor too. */
    assert_escaped("\xc2\x9b", 100, "\\xc2\\x9b");
    assert_escaped("a\xe2\x80\xae\"", 100, "a\\xe2\\x80\\xae\\\"");
    assert_escaped("\xe2\x80\xa8\xe2\x81\xa6\xef\xbb\xbf\xd8\x9c", 100,
                   "\\xe2\\x80\\xa8\\xe2\\x81\\xa6\\xef\\xbb\\xbf\\xd8\\x9c");
    assert_escaped("\xe2\x80\x93\xd8\x9b", 100, "\xe2\x80\x93\xd8\x9b");
    assert_escaped("\xff\xc3", 100, "\\xff\\xc3");
    assert_escaped("abcdef", 3, "abc...");
    /* A character is never cut in two. */
    assert_escaped("ab\xc3\xbc", 3, "ab...");
    assert_escaped("ab\"c", 2, "ab...");
    assert_escaped("ab\"c", 4, "ab\\\"...");
    assert_escaped("ab\"c", 5, "ab\\\"c");
}

static void assert_json(const char *in, size_t most, const char *expected)
{
    cleanup_text struct text t = {0};

    text_json(&t, in, most);
    assert_false(t.failed);
    assert_string_equal(text_str(&t), expected);
}

static void test_json(void **state)
{
    (void)state;
    assert_json("", 10, "\"\"");
    assert_json("plain \"x\\y\"", 100, "\"plain \\\"x\\\\y\\\"\"");
    assert_json("a\nb\r\x1b\x7f", 100, "\"a\\u000ab\\u000d\\u001b\\u007f\"");
    assert_json("gr\xc3\xbc\xf0\x9f\x9a\xa2", 100, "\"gr\xc3\xbc\xf0\x9f\x9a\xa2\"");
    /* C1, U+2028, bidi: a viewer obeys them, an escape it shows. */
    assert_json("\xc2\x9b\xe2\x80\xa8\xe2\x80\xae\xd8\x9c", 100,
                "\"\\u009b\\u2028\\u202e\\u061c\"");
    assert_json("a\xff\xc3", 100, "\"a\\ufffd\\ufffd\"");
    assert_json("\xed\xa0\x80", 100, "\"\\ufffd\\ufffd\\ufffd\"");
    /* Cut between characters, and never inside an escape. */
    assert_json("abcdef", 3, "\"abc...\"");
    assert_json("ab\n", 7, "\"ab...\"");
    assert_json("ab\\", 3, "\"ab...\"");
    static char longest[256 * 1024 + 1];
    memset(longest, 0x01, sizeof longest - 1);
    assert_json(longest, 20, "\"\\u0001\\u0001\\u0001...\"");
}

static void test_display(void **state)
{
    cleanup_text struct text t = {0};

    (void)state;
    text_display(&t, "no \"x\\y\"\n", 100);
    assert_string_equal(text_str(&t), "no \"x\\y\"\\x0a");
}

static void test_utf8(void **state)
{
    (void)state;
    assert_true(utf8_valid("", 0));
    assert_true(utf8_valid("\xf0\x9f\x9a\xa2", 4));
    assert_false(utf8_valid("\xf0\x9f\x9a", 3));
    assert_false(utf8_valid("\xc0\x80", 2));         /* overlong */
    assert_false(utf8_valid("\xe0\x80\xaf", 3));     /* overlong */
    assert_false(utf8_valid("\xed\xa0\x80", 3));     /* surrogate */
    assert_false(utf8_valid("\xf4\x90\x80\x80", 4)); /* over U+10FFFF */
    assert_false(utf8_valid("\x80", 1));
    assert_false(utf8_valid("\xff", 1));
}

static void test_printf(void **state)
{
    cleanup_text struct text t = {0};
    char longer[1001];

    (void)state;
    memset(longer, 'x', sizeof longer - 1);
    longer[sizeof longer - 1] = '\0';
    text_printf(&t, "%d:%s", 17, "");
    assert_string_equal(text_str(&t), "17:");
    for (int i = 0; i < 3; i++)
        text_printf(&t, "%s.%d", longer, i);
    assert_int_equal(t.len, 3 + 3 * 1002);
    assert_int_equal(strlen(text_str(&t)), t.len);
    assert_string_equal(text_str(&t) + t.len - 4, "xx.2");
    /* Room that is just enough, and one byte too little. */
    for (size_t len = 0; len <= sizeof longer - 1; len++) {
        struct text just = {0};
        text_printf(&just, "%s", longer + len);
        assert_int_equal(just.len, sizeof longer - 1 - len);
        assert_string_equal(text_str(&just), longer + len);
        text_free(&just);
    }
}

static void test_percent(void **state)
{
    cleanup_text struct text t = {0};

    (void)state;
    text_add_percent(&t, "a-b_c.~ /\xff\"", 11);
    assert_string_equal(text_str(&t), "a-b_c.~%20%2F%FF%22");
}

static void test_take(void **state)
{
    struct text t = {0};
    cleanup_string char *empty = text_take(&t);
    cleanup_strings struct strings list = {0};

    (void)state;
    assert_string_equal(empty, "");
    for (int i = 0; i < 100; i++)
        text_printf(&t, "%d,", i);
    assert_int_equal(strlen(t.data), t.len);
    assert_int_equal(strings_take(&list, text_take(&t)), 0);
    assert_null(t.data);
    assert_int_equal(strings_add(&list, "x"), 0);
    assert_int_equal(list.count, 2);
    assert_null(list.items[2]);
    assert_int_equal(strings_take(&list, NULL), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_escape), cmocka_unit_test(test_display), cmocka_unit_test(test_json),
        cmocka_unit_test(test_utf8),   cmocka_unit_test(test_percent), cmocka_unit_test(test_take),
        cmocka_unit_test(test_printf),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
