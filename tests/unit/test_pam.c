/* Who is let in by pam_berth.so, and who gets groups. */
#include "config.h"

#include "pam_application.h"

#include <stdbool.h>
#include <string.h>

static int setcred(const char *service, const char *user)
{
    pam_handle_t *pamh = application_start(service, user);
    int rc = pam_setcred(pamh, PAM_ESTABLISH_CRED);

    pam_end(pamh, rc);
    return rc;
}

static int account(const char *service, const char *user)
{
    pam_handle_t *pamh = application_start(service, user);
    int rc = pam_acct_mgmt(pamh, 0);

    pam_end(pamh, rc);
    return rc;
}

static bool has(gid_t gid)
{
    for (size_t i = 0; i < application.group_count; i++)
        if (application.groups[i] == gid)
            return true;
    return false;
}

static void test_groups_are_given(void **state)
{
    (void)state;
    application_need_root();
    assert_int_equal(setcred("sshd", "shelled"), PAM_SUCCESS);
    assert_int_equal(application.granted, 1);
    assert_int_equal(application.group_count, 3);
    assert_true(has(OWN) && has(ENGINE) && has(SECRETS));
}

static void test_groups_are_given_once(void **state)
{
    pam_handle_t *pamh;

    (void)state;
    application_need_root();
    pamh = application_start("sshd", "shelled");
    assert_int_equal(pam_setcred(pamh, PAM_ESTABLISH_CRED), PAM_SUCCESS);
    assert_int_equal(pam_setcred(pamh, PAM_REINITIALIZE_CRED), PAM_SUCCESS);
    assert_int_equal(pam_setcred(pamh, PAM_DELETE_CRED), PAM_SUCCESS);
    assert_int_equal(application.group_count, 3);
    assert_int_equal(application.granted, 1);
    pam_end(pamh, PAM_SUCCESS);
}

static void test_nobody_else_gets_them(void **state)
{
    static const char *const users[] = {"bash", "unmapped", "other", "root"};
    static const char *const services[] = {"su", "cron", "systemd-user", "login", "sshd2"};

    (void)state;
    application_need_root();
    for (size_t i = 0; i < sizeof users / sizeof *users; i++) {
        assert_int_equal(setcred("sshd", users[i]), PAM_SUCCESS);
        assert_int_equal(application.granted, 0);
    }
    /* The same lines in a stack that is not sshd's, as common-auth's would be. */
    for (size_t i = 0; i < sizeof services / sizeof *services; i++) {
        application_write_stack(services[i], "groups=engine,secrets");
        assert_int_equal(setcred(services[i], "shelled"), PAM_SUCCESS);
        assert_int_equal(application.granted, 0);
        assert_int_equal(account(services[i], "unmapped"), PAM_SUCCESS);
    }
}

static void test_groups_that_are_none(void **state)
{
    (void)state;
    application_need_root();
    application_write_stack("sshd", "groups=nosuch,,root,engine");
    assert_int_equal(setcred("sshd", "shelled"), PAM_SUCCESS);
    assert_int_equal(application.group_count, 2);
    assert_true(has(ENGINE) && !has(0));
    application_usual(NULL);
}

static void test_no_groups_without_a_configuration(void **state)
{
    (void)state;
    application_need_root();
    application_write_config("user \"shelled\" { nonsense = 1 }\n");
    assert_int_equal(setcred("sshd", "shelled"), PAM_SUCCESS);
    assert_int_equal(application.granted, 0);
    application_usual(NULL);
}

static void test_authenticate_has_no_say(void **state)
{
    pam_handle_t *pamh;

    (void)state;
    application_need_root();
    application_write_file("sshd", "auth required " MODULE "\nauth required pam_deny.so\n");
    pamh = application_start("sshd", "shelled");
    assert_int_not_equal(pam_authenticate(pamh, 0), PAM_SUCCESS);
    pam_end(pamh, PAM_SUCCESS);
    application_usual(NULL);
    pamh = application_start("sshd", "unmapped");
    assert_int_equal(pam_authenticate(pamh, 0), PAM_SUCCESS);
    pam_end(pamh, PAM_SUCCESS);
}

static void test_account(void **state)
{
    (void)state;
    application_need_root();
    assert_int_equal(account("sshd", "shelled"), PAM_SUCCESS);
    assert_int_equal(account("sshd", "bash"), PAM_SUCCESS);
    assert_int_equal(account("sshd", "other"), PAM_SUCCESS);
    assert_int_equal(account("sshd", "root"), PAM_SUCCESS);
    assert_string_equal(application.said, "");
    assert_int_equal(account("sshd", "unmapped"), PAM_PERM_DENIED);
    assert_non_null(strstr(application.said, "matches"));
    assert_null(strchr(application.said, '\n'));
}

static void test_account_without_a_configuration(void **state)
{
    static const char *const bad[] = {"user \"shelled\" { nonsense = 1 }\n", "user {", "\xff"};

    (void)state;
    application_need_root();
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        application_write_config(bad[i]);
        assert_int_equal(account("sshd", "shelled"), PAM_PERM_DENIED);
        assert_non_null(strstr(application.said, "berth.conf"));
        assert_int_equal(account("sshd", "bash"), PAM_SUCCESS);
        assert_int_equal(account("sshd", "root"), PAM_SUCCESS);
    }
    application_usual(NULL);
}

static void test_arguments_that_there_are_not(void **state)
{
    static const char *const bad[] = {"group=engine", "groups=", "config=berth.conf", "Debug",
                                      "groups=engine nonsense"};

    (void)state;
    application_need_root();
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        application_write_stack("sshd", bad[i]);
        assert_int_equal(setcred("sshd", "shelled"), PAM_SERVICE_ERR);
        assert_int_equal(application.granted, 0);
        assert_int_equal(account("sshd", "shelled"), PAM_SERVICE_ERR);
        assert_non_null(strstr(application.said, "argument"));
        assert_int_equal(account("sshd", "bash"), PAM_SUCCESS);
        assert_int_equal(account("sshd", "root"), PAM_SUCCESS);
    }
    application_usual(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_groups_are_given, application_usual),
        cmocka_unit_test_setup(test_groups_are_given_once, application_usual),
        cmocka_unit_test_setup(test_nobody_else_gets_them, application_usual),
        cmocka_unit_test_setup(test_groups_that_are_none, application_usual),
        cmocka_unit_test_setup(test_no_groups_without_a_configuration, application_usual),
        cmocka_unit_test_setup(test_authenticate_has_no_say, application_usual),
        cmocka_unit_test_setup(test_account, application_usual),
        cmocka_unit_test_setup(test_account_without_a_configuration, application_usual),
        cmocka_unit_test_setup(test_arguments_that_there_are_not, application_usual),
    };

    return cmocka_run_group_tests(tests, application_make, application_drop);
}
