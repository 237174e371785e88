/* What is read of the environment that sshd hands over. */
#include "config.h"

#include "session/request.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* Reads the variables, up to a NULL. */
static void read_request(struct request *r, bool tty, const char *const *variables)
{
    struct strings env = {0};
    cleanup_error struct error *err = NULL;

    for (; *variables; variables++)
        assert_int_equal(strings_add(&env, *variables), 0);
    assert_int_equal(request_parse(r, &env, tty, &err), 0);
    assert_null(env.items);
}

static void test_command(void **state)
{
    static const struct {
        const char *command;
        enum request_kind kind;
        bool mosh;
    } cases[] = {
        {"true", REQUEST_EXEC, false},
        {"", REQUEST_EXEC, false},
        {"internal-sftp", REQUEST_SFTP, false},
        {"internal-sftp -u 022", REQUEST_SFTP, false},
        {"internal-sftpx", REQUEST_EXEC, false},
        {"/usr/lib/openssh/sftp-server\t-R", REQUEST_SFTP, false},
        {"sftp-server", REQUEST_EXEC, false},
        {"cat /x/sftp-server", REQUEST_EXEC, false},
        {"mosh-server 'new' '-s'", REQUEST_EXEC, true},
        {"/opt/mosh-server new", REQUEST_EXEC, true},
        {"xmosh-server", REQUEST_EXEC, false},
        {"echo mosh-server", REQUEST_EXEC, false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        cleanup_string char *variable = text_format("SSH_ORIGINAL_COMMAND=%s", cases[i].command);
        struct request r;
        read_request(&r, false, (const char *[]){variable, NULL});
        if (r.kind != cases[i].kind || request_is_mosh(&r) != cases[i].mosh ||
            strcmp(r.command, cases[i].command) != 0)
            fail_msg("%s: seen %s, \"%s\"", variable, request_kind_name(r.kind), r.command);
        request_free(&r);
    }
}

static void test_shell(void **state)
{
    struct request r;

    (void)state;
    read_request(&r, true, (const char *[]){"TERM=xterm", "X=1", NULL});
    assert_int_equal(r.kind, REQUEST_SHELL);
    assert_null(r.command);
    assert_string_equal(r.term, "xterm");
    assert_string_equal(request_getenv(&r, "X"), "1");
    assert_null(request_getenv(&r, "TER"));
    assert_false(request_is_mosh(&r));
    request_free(&r);
    /* Without a terminal its name means nothing. */
    read_request(&r, false, (const char *[]){"TERM=xterm", NULL});
    assert_null(r.term);
    request_free(&r);
}

static void test_connection(void **state)
{
    static const struct {
        const char *value, *client, *port;
        bool known;
    } cases[] = {
        {"192.0.2.7 50022 192.0.2.1 22", "192.0.2.7", "50022", true},
        {"fe80::1%eth0 50022 fe80::2%eth0 22", "fe80::1%eth0", "50022", true},
        {"192.0.2.7", "192.0.2.7", "0", false},
        {"", "unknown", "0", false},
        {"192.0.2.7 50022\nclose session=x", "unknown", "0", false},
        {"\"x 1", "unknown", "0", false},
        {"a=b 1", "unknown", "0", false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        cleanup_string char *variable = text_format("SSH_CONNECTION=%s", cases[i].value);
        struct request r;
        read_request(&r, false, (const char *[]){variable, NULL});
        assert_string_equal(r.client, cases[i].client);
        assert_string_equal(r.port, cases[i].port);
        assert_int_equal(r.connection != NULL, cases[i].known);
        request_free(&r);
    }
}

static void test_marked(void **state)
{
    static const char *const given[] = {"+LANG=C", "GLIBC_TUNABLES=x", "++X=1", "", "+", NULL};
    struct strings env = {0};

    (void)state;
    for (size_t i = 0; given[i]; i++)
        assert_int_equal(strings_add(&env, given[i]), 0);
    request_unmark(&env);
    assert_int_equal(env.count, 3);
    assert_string_equal(env.items[0], "LANG=C");
    assert_string_equal(env.items[1], "+X=1");
    assert_string_equal(env.items[2], "");
    assert_null(env.items[3]);
    strings_free(&env);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_command),
        cmocka_unit_test(test_shell),
        cmocka_unit_test(test_connection),
        cmocka_unit_test(test_marked),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
