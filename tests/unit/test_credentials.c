#include "config.h"

#include "engine/credentials.h"

#include "base/text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* anna:s3cret?> and hub:pw */
static const char config[] =
    "{\"auths\":{\"registry.example:5000\":{\"auth\":\"YW5uYTpzM2NyZXQ/Pg==\"},"
    "\"https://index.docker.io/v1/\":{\"auth\":\"aHViOnB3\"},"
    "\"bad.example\":{\"auth\":\"%%%\"},\"null.example\":{\"auth\":null},"
    "\"empty.example\":{\"auth\":\"\"},\"helper.example\":{}}}";

static void assert_auth(const char *image, const char *expected)
{
    struct error *err = NULL;
    cleanup_string char *auth = NULL;

    assert_int_equal(credentials_find(config, image, &auth, &err), 0);
    if (expected)
        assert_string_equal(auth, expected);
    else
        assert_null(auth);
}

static void test_found(void **state)
{
    (void)state;
    /* base64url of {"username":"anna","password":"s3cret?>","serveraddress":...} */
    assert_auth("registry.example:5000/lab:latest",
                "eyJ1c2VybmFtZSI6ImFubmEiLCJwYXNzd29yZCI6InMzY3JldD8-Iiwic2VydmVyYWRkcmVzcyI6"
                "InJlZ2lzdHJ5LmV4YW1wbGU6NTAwMCJ9");
    assert_auth("lab:latest",
                "eyJ1c2VybmFtZSI6Imh1YiIsInBhc3N3b3JkIjoicHciLCJzZXJ2ZXJhZGRyZXNzIjoiaHR0cHM6"
                "XC9cL2luZGV4LmRvY2tlci5pb1wvdjFcLyJ9");
    assert_auth("other.example/lab", NULL);
    assert_auth("null.example/lab", NULL);
    assert_auth("empty.example/lab", NULL);
    assert_auth("helper.example/lab", NULL);
}

/* Tokens of the large registries have some kilobytes. */
static void test_long(void **state)
{
    struct error *err = NULL;
    cleanup_text struct text json = {0};
    cleanup_string char *auth = NULL;

    (void)state;
    text_puts(&json, "{\"auths\":{\"long.example\":{\"auth\":\"QTpC"); /* A:B */
    for (int i = 0; i < 1000; i++)
        text_puts(&json, "QkJC");
    text_puts(&json, "\"}}}");
    assert_int_equal(credentials_find(json.data, "long.example/x", &auth, &err), 0);
    assert_true(strlen(auth) > 4000);
}

static void test_refused(void **state)
{
    struct error *err = NULL;
    char *auth;

    (void)state;
    assert_int_equal(credentials_find(config, "bad.example/x", &auth, &err), -1);
    assert_string_equal(error_text(err), "\"auth\" of bad.example is not base64 of user:password");
    error_clear(&err);
    assert_int_equal(credentials_find("[1]", "x", &auth, &err), -1);
    error_clear(&err);
    assert_int_equal(credentials_find("{\"auths\":", "x", &auth, &err), -1);
    error_clear(&err);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_found),
        cmocka_unit_test(test_long),
        cmocka_unit_test(test_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
