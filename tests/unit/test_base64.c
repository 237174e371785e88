#include "config.h"

#include "base/base64.h"
#include "base/text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

/* RFC 4648, 10. */
static const char *const vectors[][2] = {
    {"", ""},
    {"f", "Zg=="},
    {"fo", "Zm8="},
    {"foo", "Zm9v"},
    {"foob", "Zm9vYg=="},
    {"fooba", "Zm9vYmE="},
    {"foobar", "Zm9vYmFy"},
};

static void test_vectors(void **state)
{
    unsigned char out[16];

    (void)state;
    for (size_t i = 0; i < sizeof vectors / sizeof vectors[0]; i++) {
        const char *plain = vectors[i][0], *encoded = vectors[i][1];
        cleanup_string char *made = base64_url(plain, strlen(plain));
        assert_string_equal(made, encoded);
        assert_int_equal(base64_decode(encoded, out), strlen(plain));
        assert_memory_equal(out, plain, strlen(plain));
    }
}

static void test_alphabets(void **state)
{
    static const unsigned char bytes[] = {0xfb, 0xff, 0x00, 0xfe};
    unsigned char out[6];

    (void)state;
    cleanup_string char *made = base64_url(bytes, sizeof bytes);
    assert_string_equal(made, "-_8A_g==");
    assert_int_equal(base64_decode("+/8A/g==", out), sizeof bytes);
    assert_memory_equal(out, bytes, sizeof bytes);
}

static void test_refused(void **state)
{
    static const char *const bad[] = {
        "Z", "Zg", "Zg=", "Z===", "====", "Zg==Zg==", "Zm9\n", "Zm-_", "Zm9v ", "\xc3\xa4=="};
    unsigned char out[16];

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_int_equal(base64_decode(bad[i], out), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_vectors),
        cmocka_unit_test(test_alphabets),
        cmocka_unit_test(test_refused),
    };

    return cmocka_run_group_tests_name("base64", tests, NULL, NULL);
}
