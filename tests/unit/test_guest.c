/* What the guest makes of the container's files, and of START's. */
#include "config.h"

#include "guest/proc.h"
#include "guest/program.h"
#include "guest/shell.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static void expect_shell(const char *text, size_t len, const char *shell)
{
    /* Not one byte more, so that a read past the end is seen. */
    char *copy = malloc(len + 1);

    assert_non_null(copy);
    memcpy(copy, text, len);
    char *found = shell_of_passwd(copy, len, 2001);
    if (shell)
        assert_string_equal(found, shell);
    else
        assert_null(found);
    free(found);
    free(copy);
}

static void test_passwd(void **state)
{
#define SHELL_OF(text, shell) expect_shell(text, sizeof(text) - 1, shell)
    (void)state;
    SHELL_OF("", NULL);
    SHELL_OF("u:x:2001:1:g:/h:/bin/zsh", "/bin/zsh");
    SHELL_OF("root:x:0:0::/:/bin/sh\n\nu:x:2001:1::/h:/bin/zsh\nv:x:2001:1::/h:/bin/ksh\n",
             "/bin/zsh");
    SHELL_OF("u:x:02001:1::/h:/bin/zsh:more\n", "/bin/zsh");
    SHELL_OF("u:x:20010:1::/h:/bin/zsh\n", NULL);
    SHELL_OF("u:x:4294969297:1::/h:/bin/zsh\n", NULL); /* 2^32 + 2001 */
    SHELL_OF("u:x:18446744073709553617:1::/h:/bin/zsh\n", NULL);
    SHELL_OF("u:x:-2001:1::/h:/bin/zsh\n", NULL);
    SHELL_OF("u:x::1::/h:/bin/zsh\n", NULL);
    SHELL_OF("u:x:2001:1::/h:\n", NULL);
    SHELL_OF("u:x:2001:1::/h\n:/bin/zsh", NULL);
    SHELL_OF("u:x:2001:1::/h:bin/zsh\n", NULL);
    SHELL_OF("u:x:2001:1::/h:/bin\0/zsh\n", NULL);
    SHELL_OF("u:x:2001", NULL);
    SHELL_OF(":::::::::\n\0\n:\xff", NULL);
}

static void expect_stat(const char *text, pid_t session, pid_t foreground)
{
    struct proc_stat st;

    assert_true(proc_stat_parse(&st, text, strlen(text)));
    assert_int_equal(st.session, session);
    assert_int_equal(st.foreground, foreground);
}

static void test_stat(void **state)
{
    static const char *const bad[] = {"",
                                      "1",
                                      "1 (a)",
                                      "1 (a) S",
                                      "1 (a) S 1 2 3 4",
                                      "1 (a) S 1 2 x 4 5",
                                      "1 (a)S 1 2 3 4 5 ",
                                      "1 (a) S 1 2 99999999999 4 5"};
    struct proc_stat st;

    (void)state;
    expect_stat("17 (sh) S 1 17 16 34816 19 4194560 1", 16, 19);
    expect_stat("17 (a) S 1 2 3 4) Z 1 17 16 0 -1\n", 16, -1);
    expect_stat("17 (\n) R) () S 1 17 16 0 -1", 16, -1);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_false(proc_stat_parse(&st, bad[i], strlen(bad[i])));
    assert_true(proc_stat_read(&st, getpid()));
    assert_int_equal(st.session, getsid(0));
    assert_false(proc_stat_read(&st, 0));
}

static void test_environment(void **state)
{
    static char *base[] = {(char *)"HOME=/h", (char *)"A=old", (char *)"odd", NULL};
    struct strings env = {0}, over = {0}, none = {0};

    (void)state;
    strings_add(&over, "A=new=er");
    strings_add(&over, "AB=1");
    strings_add(&over, "AB=2");
    assert_int_equal(program_environment(&env, base, &over, "/bin/sh"), 0);
    assert_int_equal(env.count, 5);
    assert_string_equal(env.items[0], "HOME=/h");
    assert_string_equal(env.items[1], "A=new=er");
    assert_string_equal(env.items[2], "SHELL=/bin/sh");
    assert_string_equal(env.items[3], "AB=2");
    assert_memory_equal(env.items[4], "PATH=/", 6);
    strings_free(&env);
    strings_add(&over, "SHELL=/own");
    strings_add(&over, "PATH=");
    assert_int_equal(program_environment(&env, NULL, &over, "/bin/sh"), 0);
    assert_int_equal(env.count, 4);
    assert_string_equal(env.items[0], "SHELL=/own");
    assert_string_equal(env.items[3], "PATH=");
    strings_free(&env);
    assert_int_equal(program_environment(&env, NULL, &none, NULL), 0);
    assert_int_equal(env.count, 1);
    strings_free(&env);
    strings_free(&over);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_passwd),
        cmocka_unit_test(test_stat),
        cmocka_unit_test(test_environment),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
