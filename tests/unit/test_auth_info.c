#include "config.h"

#include "session/auth_info.h"

#include "base/sha256.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define KEY "AAAAC3NzaC1lZDI1NTE5AAAAIPc+3LY1DZlb9/1iUndQLdTjWZvOXsHdSMiEZeN6H4Vj"
/* What ssh-keygen -l says of it. */
#define KEY_HASH "SHA256:AA1M6CIe7SCUk6LF5MybZsnIZQVwHhLIKwFu6vHlfPc"

static void assert_digest(const void *bytes, size_t len, const char *expected)
{
    unsigned char digest[SHA256_SIZE];
    char hex[2 * SHA256_SIZE + 1];

    sha256(bytes, len, digest);
    for (size_t i = 0; i < sizeof digest; i++)
        snprintf(hex + 2 * i, 3, "%02x", digest[i]);
    assert_string_equal(hex, expected);
}

static void test_digest(void **state)
{
    /* Around the ends of blocks; the bytes are (7 i + length) mod 256. */
    static const struct {
        size_t len;
        const char *hex;
    } cases[] = {
        {0, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
        {1, "4bf5122f344554c53bde2ebb8cd2b7e3d1600ad631c385a5d7cce23c7785459a"},
        {3, "6ab0dba1f4f1dfbb37b4f9eeb092c09fca4900ad32bdcd147d8dde35d6c87c35"},
        {55, "81afe5b788dc2ce138ff83d9b20164db75a94d75d2b2432eea4a0ef605088c72"},
        {56, "2aba54f0ac632420a2b502431408866e40e1d5e430df4cd822642c78ab2eb9c1"},
        {57, "903284efbf9100e8ba1614ec65eacacad125e03f857cae7acbf8b73b23e0fdfe"},
        {63, "733d3d4ee79ee67145bf73da13588f6f235d37414fc64b14a2f00f1762792f5e"},
        {64, "79322907b3e9d013d7dc2c2f256674dbf733045cde01df3539271c6f5605feb8"},
        {65, "d85c007c6eb440f085afa2b84f6f2bce4658b240e9f62cb1364bf0485a57e720"},
        {119, "6c87eedf096b345de205b702e5223b73b447a3207791ded3ea007ba15ed6736e"},
        {120, "42500cf6a1e3936d6b9e0bcfe296d654b63255e525487d3634d0b15fde591c4d"},
        {127, "68f6ff710276900c0ffbbc57426f67e00c2e01f0750c7edc25ac06b8ce7a8095"},
        {128, "489d55fea9a73af36b6dd0be7b4117d8e5683386d39544e8a44c99a87f368707"},
        {1000, "6b0df76627243d095b0c4400cb658b7e804dd03461cc03aee8fc8fe0bcada168"},
    };
    unsigned char bytes[1000];

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        for (size_t j = 0; j < cases[i].len; j++)
            bytes[j] = (unsigned char)(j * 7 + cases[i].len);
        assert_digest(bytes, cases[i].len, cases[i].hex);
    }
    /* FIPS 180-4's own example. */
    assert_digest("abc", 3, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

static void assert_key(const char *text, const char *expected)
{
    char key[REQUEST_KEY_SIZE];

    auth_info_read(key, text);
    assert_string_equal(key, expected);
}

static void test_key(void **state)
{
    (void)state;
    assert_key("publickey ssh-ed25519 " KEY "\n", KEY_HASH);
    assert_key("publickey ssh-ed25519 " KEY, KEY_HASH);
    assert_key("password\npublickey ssh-ed25519 " KEY "\nkeyboard-interactive/pam\n", KEY_HASH);
}

static void test_no_key(void **state)
{
    static const char *const texts[] = {"",
                                        "\n\n",
                                        "password\n",
                                        "publickey\n",
                                        "publickey ssh-ed25519\n",
                                        "publickey ssh-ed25519 %%%\n",
                                        "publickey ssh-ed25519 AAA\n",
                                        "publickey ssh-ed25519-cert-v01@openssh.com " KEY "\n",
                                        "hostbased ssh-ed25519 " KEY "\n"};

    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        assert_key(texts[i], "");
}

static void test_long(void **state)
{
    static char text[64 * 1024];

    (void)state;
    memset(text, 'A', sizeof text - 1);
    assert_key(text, "");
    memcpy(text, "publickey ssh-rsa ", 18);
    char key[REQUEST_KEY_SIZE];
    auth_info_read(key, text);
    assert_true(strlen(key) < sizeof key);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_digest),
        cmocka_unit_test(test_key),
        cmocka_unit_test(test_no_key),
        cmocka_unit_test(test_long),
    };

    return cmocka_run_group_tests_name("auth info", tests, NULL, NULL);
}
