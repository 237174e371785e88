#include "config.h"

#include "session/nss.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void refused(struct nss *nss, const char *name, enum error_kind kind, const char *says)
{
    struct error *err = NULL;
    struct person person;

    assert_int_equal(nss_ask(nss, &(struct nss_query){.name = name, .uid = 4242}, &person, &err),
                     -1);
    assert_int_equal(error_kind(err), kind);
    if (!strstr(error_text(err), says))
        fail_msg("said \"%s\", in place of: %s", error_text(err), says);
    error_clear(&err);
    person_free(&person);
}

static void test_what_it_answers(void **state)
{
    struct nss nss = nss_open();
    struct error *err = NULL;
    struct person here, there;
    (void)state;

    assert_int_equal(person_find(&here, "root", &err), 0);
    assert_int_equal(
        nss_ask(&nss, &(struct nss_query){.name = "root", .groups = true}, &there, &err), 0);
    assert_string_equal(there.account.name, "root");
    assert_int_equal(there.account.uid, 0);
    assert_int_equal(there.account.gid, here.account.gid);
    assert_string_equal(there.account.home, here.account.home);
    assert_string_equal(there.shell, here.shell);
    assert_ptr_equal(there.account.groups, &there.groups);
    assert_int_equal(there.groups.count, here.groups.count);
    for (size_t i = 0; i < here.groups.count; i++)
        assert_string_equal(there.groups.items[i], here.groups.items[i]);
    person_free(&here);
    person_free(&there);
    assert_int_equal(nss_ask(&nss, &(struct nss_query){.uid = 0}, &there, &err), 0);
    assert_string_equal(there.account.name, "root");
    assert_null(there.account.groups);
    person_free(&there);
    nss_close(&nss);
}

static void test_who_is_not_there(void **state)
{
    struct nss nss = nss_open();
    char *endless = malloc(1 << 20);
    (void)state;

    memset(endless, 'x', (1 << 20) - 1);
    endless[(1 << 20) - 1] = '\0';
    refused(&nss, "no\n\"such", ERROR_NOT_FOUND, "no account \"no\\x0a\\\"such\": getent");
    refused(&nss, "", ERROR_NOT_FOUND, "no account \"\": getent");
    refused(&nss, endless, ERROR_NOT_FOUND, "...\": getent");
    free(endless);
    nss_close(&nss);
}

static void count(void *data, const char *what)
{
    ++*(unsigned *)data;
    assert_non_null(strstr(what, "has ended"));
}

static void test_who_asks_has_ended(void **state)
{
    struct nss nss = nss_open();
    struct person person;
    unsigned said = 0;
    (void)state;

    assert_int_equal(kill(nss.pid, SIGKILL), 0);
    refused(&nss, "root", ERROR_LOST, "cannot look up account \"root\": the process that asks");
    refused(&nss, NULL, ERROR_LOST, "cannot look up uid 4242: the process that asks");
    for (int i = 0; i < 3; i++) {
        assert_false(nss_try(&nss, &(struct nss_query){.uid = 0}, &person, count, &said));
        assert_null(person.account.name);
    }
    assert_int_equal(said, 1);
    nss_close(&nss);
    refused(&nss, "root", ERROR_LOST, "has ended");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_it_answers),
        cmocka_unit_test(test_who_is_not_there),
        cmocka_unit_test(test_who_asks_has_ended),
    };

    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
