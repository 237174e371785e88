#include "config.h"

#include "policy/passwd.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static const char debian[] = "root:x:0:0:root:/root:/bin/bash\n"
                             "www-data:x:33:33:www-data:/var/www:/usr/sbin/nologin\n"
                             "dev:x:1000:1001:,,,:/home/dev:/usr/bin/zsh\n";
static const char debian_group[] = "root:x:0:\nwww-data:x:33:\ndev:x:1001:\n";

static struct text text_of(const char *s)
{
    struct text t = {0};

    text_puts(&t, s);
    return t;
}

static void assert_passwd(const struct passwd_login *login, const char *image, const char *wanted)
{
    cleanup_text struct text in = text_of(image), out = {0};

    passwd_make(&out, login, &in);
    assert_string_equal(text_str(&out), wanted);
}

static void assert_group(const struct passwd_login *login, const char *image, const char *wanted)
{
    cleanup_text struct text passwd = text_of(debian), in = text_of(image), out = {0};

    passwd_make_group(&out, login, &passwd, &in);
    assert_string_equal(text_str(&out), wanted);
}

static void test_ids(void **state)
{
    struct passwd_ids ids;

    (void)state;
    assert_true(passwd_ids(&ids, "2001:2002"));
    assert_true(ids.uid == 2001 && ids.gid == 2002 && ids.has_gid);
    assert_true(passwd_ids(&ids, "2001"));
    assert_true(ids.uid == 2001 && !ids.has_gid);
    assert_true(passwd_ids(&ids, "4294967295:0"));
    assert_false(passwd_ids(&ids, "4294967296:0"));
    assert_false(passwd_ids(&ids, "dev"));
    assert_false(passwd_ids(&ids, "1:dev"));
    assert_false(passwd_ids(&ids, "1:"));
    assert_false(passwd_ids(&ids, ":1"));
    assert_false(passwd_ids(&ids, ""));
}

static void test_takes(void **state)
{
    static const char *const no[] = {"",     "+a",  "-a",  "#a",    "a:b",
                                     "a\nb", "a b", "a,b", "a\x7f", "a\tb"};

    (void)state;
    assert_true(passwd_takes("alice"));
    assert_true(passwd_takes("a-b.c_d+e$"));
    assert_true(passwd_takes("j\xc3\xbcrgen"));
    for (size_t i = 0; i < sizeof no / sizeof *no; i++)
        assert_false(passwd_takes(no[i]));
}

static void test_passwd(void **state)
{
    static const struct strings none = {0};
    struct passwd_login alice = {.name = "alice",
                                 .ids = {2001, 2002, true},
                                 .home = "/home/alice",
                                 .bash = true,
                                 .groups = &none};
    cleanup_string char *whole = text_format("alice:x:2001:2002:alice:/home/alice:/bin/bash\n%s",
                                             debian);

    (void)state;
    assert_passwd(&alice, debian, whole);
    /* Its last line without an end, and lines of no use. */
    assert_passwd(&alice, "::\n\n:x:y",
                  "alice:x:2001:2002:alice:/home/alice:/bin/bash\n::\n\n:x:y\n");
    alice.bash = false;
    assert_passwd(&alice, "",
                  "alice:x:2001:2002:alice:/home/alice:/bin/sh\nroot:x:0:0:root:/root:/bin/sh\n");
    alice.shell = "/bin/fish";
    assert_passwd(&alice, "x", "alice:x:2001:2002:alice:/home/alice:/bin/fish\nx\n");
}

/* As the guest and the engine take them. */
static void test_images_line(void **state)
{
    static const struct strings none = {0};
    struct passwd_login bob = {
        .name = "bob", .ids = {1000, 0, false}, .home = "/home/bob", .groups = &none};
    cleanup_text struct text in = text_of(debian), out = {0};

    (void)state;
    passwd_make(&out, &bob, &in);
    assert_memory_equal(text_str(&out), "bob:x:1000:1001:bob:/home/bob:/usr/bin/zsh\nroot:", 48);
    assert_group(&bob, debian_group, debian_group);
    /* One that turns logins away is none. */
    bob.ids.uid = 33;
    assert_passwd(&bob, "w:x:33:7::/:/usr/sbin/nologin\n",
                  "bob:x:33:7:bob:/home/bob:/bin/sh\nw:x:33:7::/:/usr/sbin/nologin\n");
    bob.ids.uid = 5;
    assert_passwd(&bob, "w:x:33:7::/:/bin/zsh\n",
                  "bob:x:5:0:bob:/home/bob:/bin/sh\nw:x:33:7::/:/bin/zsh\n");
    assert_passwd(&bob, "w:x:5", "bob:x:5:0:bob:/home/bob:/bin/sh\nw:x:5\n");
}

static void test_group(void **state)
{
    char *items[] = {(char *)"33:web",   (char *)"5001:site-a", (char *)"7:",
                     (char *)"2002:own", (char *)"8:a:b",       NULL};
    const struct strings none = {0}, groups = {.items = items, .count = 5};
    struct passwd_login alice = {.name = "alice", .ids = {2001, 2002, true}, .groups = &none};

    (void)state;
    assert_group(&alice, debian_group, "alice:x:2002:\nroot:x:0:\nwww-data:x:33:\ndev:x:1001:\n");
    assert_group(&alice, "", "root:x:0:\nalice:x:2002:\n");
    alice.ids.gid = 33;
    assert_group(&alice, debian_group, debian_group);
    alice.ids.gid = 0;
    assert_group(&alice, "x", "x\n");
    alice.groups = &groups;
    alice.ids.gid = 2002;
    assert_group(&alice, "www-data:x:33:", "alice:x:2002:\nsite-a:x:5001:alice\nwww-data:x:33:\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ids),    cmocka_unit_test(test_takes),
        cmocka_unit_test(test_passwd), cmocka_unit_test(test_images_line),
        cmocka_unit_test(test_group),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
