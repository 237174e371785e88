/* The allow-list's patterns, above all what they must not let through. */
#include "config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "policy/command.h"

#include <stdlib.h>
#include <string.h>

static bool allowed(const char *pattern, const char *command)
{
    char *items[] = {(char *)pattern, NULL};
    const struct strings patterns = {.items = items, .count = 1};

    return command_allowed(&patterns, command);
}

static void test_match(void **state)
{
    static const struct {
        const char *pattern, *command;
        bool allowed;
    } cases[] = {
        {"ls", "ls", true},
        {"ls", "ls ", false},
        {"ls", "l", false},
        {"ls", "xls", false},
        {"", "", true},
        {"", "ls", false},
        {"*", "", true},
        {"*", "anything at all", true},
        {"?", "", false},
        {"?", "a", true},
        {"?", "ab", false},
        {"git-*", "git-upload-pack '/a.git'", true},
        {"git-*", "git-", true},
        {"git-*", "git", false},
        {"git-* '*'", "git-upload-pack '/a.git'", true},
        {"git-* '*'", "git-upload-pack /a.git", false},
        {"*.git", "a.git.git", true},
        {"*.git", "a.gits", false},
        {"*a*b*c", "xaxbxbxcxc", true},
        {"*a*b*c", "xaxcxb", false},
        {"**", "x", true},
        {"a**b", "ab", true},
        {"*?", "", false},
        {"*?x", "ax", true},
        {"rsync --server *", "rsync --server -vlogDtpre.iLsfxCIvu . /srv", true},
        {"echo \xc3\xa4*", "echo \xc3\xa4\xc3\xb6", true},
        {"*", "\xff", true},
        {"sftp", "sftp", true},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        if (allowed(cases[i].pattern, cases[i].command) != cases[i].allowed)
            fail_msg("\"%s\" on \"%s\": expected %d", cases[i].pattern, cases[i].command,
                     cases[i].allowed);
}

/* No wildcard matches one of these, wherever it stands. */
static void test_metacharacters(void **state)
{
    (void)state;
    for (int c = 1; c < 256; c++) {
        /* One quote alone leaves the rest of the pattern in quotes. */
        bool bad = c < 0x20 || c == 0x7f || strchr(";&|<>()$`\\{}*?[]#!'\"", c);
        char single[] = {(char)c, '\0'};
        char middle[] = {'g', 'i', 't', '-', (char)c, 'x', '\0'};
        char last[] = {'g', 'i', 't', '-', 'x', (char)c, '\0'};

        if (allowed("?", single) == bad || allowed("*", single) == bad ||
            allowed("git-*", middle) == bad || allowed("git-*", last) == bad ||
            allowed("git-?x", middle) == bad || allowed("*x*", middle) == bad)
            fail_msg("byte 0x%02x", (unsigned)c);
    }
    assert_false(allowed("git-*", "git-x; sh"));
    assert_false(allowed("git-*", "git-x\nsh"));
    assert_false(allowed("git-*", "git-x $(sh)"));
    assert_false(allowed("*", "a && b"));
    assert_false(allowed("*sh", "ls; sh"));
}

/* What the administrator writes himself is taken as it stands. */
static void test_literals(void **state)
{
    (void)state;
    assert_true(allowed("cd /srv && ls", "cd /srv && ls"));
    assert_true(allowed("a;*;b", "a;x;b"));
    assert_false(allowed("a;*;b", "a;x;y;b"));
    assert_true(allowed("*;;?", "a;;b"));
    assert_false(allowed("*;;?", "a;;;b"));
    assert_false(allowed("*a;*", "xa;ya;z"));
    assert_true(allowed("[ab]", "[ab]"));
    assert_false(allowed("[ab]", "a"));
    assert_true(allowed("\\x", "\\x"));
    assert_true(allowed("echo $HOME *", "echo $HOME x"));
}

/* A shell must read the pattern's own bytes as in the pattern. */
static void test_quotes(void **state)
{
    (void)state;
    assert_true(allowed("git-*", "git-upload-pack '/srv/a b.git'"));
    assert_true(allowed("git-upload-pack '*'", "git-upload-pack '/srv/a b.git'"));
    assert_true(allowed("git-upload-pack '*'", "git-upload-pack 'say \"x\"'"));
    assert_false(allowed("git-upload-pack '*'", "git-upload-pack 'a' --exec '/x'"));
    assert_true(allowed("a * '*'", "a b 'x' 'y'"));
    assert_true(allowed("echo '*; *'", "echo 'a; b'"));
    assert_false(allowed("echo '*; *'", "echo 'a'; cat /etc/hosts ''"));
    assert_false(allowed("echo \"*; *\"", "echo \"a\"; cat /etc/hosts \"\""));
    assert_true(allowed("echo \"*\"", "echo \"it's\""));
    assert_false(allowed("echo * '; x'", "echo ' '; x'"));
    assert_false(allowed("echo ?; x'", "echo '; x'"));
    assert_false(allowed("git-*", "git-x 'a"));
    assert_true(allowed("echo \\' *", "echo \\' a"));
    assert_false(allowed("echo \\' * ; *'", "echo \\' ' ; x'"));
}

static void test_list(void **state)
{
    char *items[] = {(char *)"ls", (char *)"git-*", NULL};
    const struct strings two = {.items = items, .count = 2}, none = {0};

    (void)state;
    assert_true(command_allowed(&two, "ls"));
    assert_true(command_allowed(&two, "git-shell"));
    assert_false(command_allowed(&two, "sh"));
    assert_false(command_allowed(&none, "ls"));
}

/* Many stars against a long command that almost matches: no blow-up. */
static void test_time(void **state)
{
    enum { LONG = 100000 };
    char *command = malloc(LONG + 1);

    (void)state;
    assert_non_null(command);
    memset(command, 'a', LONG);
    command[LONG] = '\0';
    assert_false(allowed("*a*a*a*a*a*a*a*a*a*a*a*a*b", command));
    free(command);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_match),    cmocka_unit_test(test_metacharacters),
        cmocka_unit_test(test_literals), cmocka_unit_test(test_list),
        cmocka_unit_test(test_time),     cmocka_unit_test(test_quotes),
    };

    return cmocka_run_group_tests_name("command", tests, NULL, NULL);
}
