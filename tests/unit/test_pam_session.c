/* What pam_berth.so does for a session, and what it leaves. */
#include "config.h"

#include "pam_application.h"

#include "policy/connection.h"

#include <arpa/inet.h>
#include <grp.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

/* --- a user database that never answers, and a clock that runs fast */

static bool nss_hangs;

int initgroups(const char *user, gid_t group)
{
    (void)user;
    (void)group;
    while (nss_hangs)
        pause();
    return 0;
}

unsigned alarm(unsigned seconds)
{
    const struct itimerval when = {.it_value = {.tv_usec = seconds > 0 ? 100000 : 0}};

    return setitimer(ITIMER_REAL, &when, NULL) == 0 ? 0 : 1;
}

static void test_session_clears_the_environment(void **state)
{
    static const char *const bad[] = {"LD_PRELOAD=/x.so",
                                      "LD_AUDIT=/x.so",
                                      "BASH_FUNC_exec%%=() { id; }",
                                      "BASH_ENV=/x",
                                      "PATH=/home/x",
                                      "GLIBC_TUNABLES=x=y",
                                      "GCONV_PATH=/home/x",
                                      "BERTH_CONNECTION=ff",
                                      "SSH_ORIGINAL_COMMAND=x",
                                      "LANGUAGE=/x",
                                      "TZ=:/x",
                                      "XDG_CONFIG_HOME=/x",
                                      "LANG_=x",
                                      "=x"};
    pam_handle_t *pamh;

    (void)state;
    application_need_root();
    pamh = application_start("sshd", "shelled");
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        (void)pam_putenv(pamh, bad[i]);
    assert_int_equal(pam_putenv(pamh, "LANG=de_DE.UTF-8"), PAM_SUCCESS);
    assert_int_equal(pam_putenv(pamh, "LC_ALL=C"), PAM_SUCCESS);
    assert_int_equal(pam_putenv(pamh, "XDG_SESSION_ID=7"), PAM_SUCCESS);
    assert_int_equal(pam_open_session(pamh, 0), PAM_SUCCESS);
    char **left = pam_getenvlist(pamh);
    size_t count = 0;
    for (char **entry = left; *entry; entry++, count++) {
        assert_true(strncmp(*entry, "L", 1) == 0 || strncmp(*entry, "XDG_SESSION_ID=", 15) == 0);
        free(*entry);
    }
    free(left);
    assert_int_equal(count, 3);
    assert_int_equal(pam_close_session(pamh, 0), PAM_SUCCESS);
    pam_end(pamh, PAM_SUCCESS);
}

static void test_session_of_others_is_left_alone(void **state)
{
    pam_handle_t *pamh;

    (void)state;
    application_need_root();
    pamh = application_start("sshd", "other");
    assert_int_equal(pam_putenv(pamh, "PATH=/x"), PAM_SUCCESS);
    assert_int_equal(pam_open_session(pamh, 0), PAM_SUCCESS);
    assert_string_equal(pam_getenv(pamh, "PATH"), "/x");
    pam_end(pamh, PAM_SUCCESS);
}

static void test_session_makes_the_directory(void **state)
{
    pam_handle_t *pamh;
    char own[96];
    struct stat st;

    (void)state;
    application_need_root();
    snprintf(own, sizeof own, "%s/run/%d", application.top, UID);
    (void)rmdir(own);
    pamh = application_start("sshd", "shelled");
    assert_int_equal(pam_open_session(pamh, 0), PAM_SUCCESS);
    assert_int_equal(stat(own, &st), 0);
    assert_int_equal(st.st_uid, UID);
    assert_int_equal(st.st_mode & 07777, 0700);
    assert_int_equal(geteuid(), 0);
    pam_end(pamh, PAM_SUCCESS);
    /* Somebody was there before. */
    assert_int_equal(chown(own, UID + 9, (gid_t)-1), 0);
    pamh = application_start("sshd", "shelled");
    assert_int_equal(pam_open_session(pamh, 0), PAM_SESSION_ERR);
    assert_non_null(strstr(application.said, own));
    pam_end(pamh, PAM_SUCCESS);
    assert_int_equal(rmdir(own), 0);
    assert_int_equal(symlink("/tmp", own), 0);
    pamh = application_start("sshd", "shelled");
    assert_int_equal(pam_open_session(pamh, 0), PAM_SESSION_ERR);
    pam_end(pamh, PAM_SUCCESS);
    assert_int_equal(unlink(own), 0);
}

/* What the user could have said in ~/.pam_environment: no socket of this process. */
static void test_a_forged_connection_is_not_vouched_for(void **state)
{
    pam_handle_t *pamh;
    char path[128];

    (void)state;
    application_need_root();
    pamh = application_start("sshd", "shelled");
    assert_int_equal(pam_putenv(pamh, "SSH_CONNECTION=192.0.2.7 50022 192.0.2.1 22"), PAM_SUCCESS);
    assert_int_equal(pam_open_session(pamh, 0), PAM_SUCCESS);
    assert_null(pam_getenv(pamh, "BERTH_CONNECTION"));
    snprintf(path, sizeof path, "%s/run/connections/192.0.2.7_50022_192.0.2.1_22", application.top);
    assert_int_equal(access(path, F_OK), -1);
    pam_end(pamh, PAM_SUCCESS);
}

/* The server's side of a connection of this process's own, by a listener of `family` and
 * a client of the address's; *peer is as sshd says it. -1: there is no such network. */
static int accepted(int family, const char *address, char peer[128], int *client)
{
    struct sockaddr_in6 all = {.sin6_family = AF_INET6, .sin6_addr = in6addr_any};
    struct sockaddr_in four = {.sin_family = AF_INET};
    struct sockaddr_in6 six = {.sin6_family = AF_INET6};
    struct sockaddr *where = strchr(address, ':') ? (struct sockaddr *)&six : (void *)&four;
    socklen_t len = where == (void *)&four ? sizeof four : sizeof six, any = sizeof all;
    int listener = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0), off = 0;
    struct sockaddr_in6 mine = {0};
    socklen_t mine_len = sizeof mine;

    *client = socket(where->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (listener < 0 || *client < 0)
        return -1;
    if (family == AF_INET6) {
        (void)setsockopt(listener, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
        if (bind(listener, (struct sockaddr *)&all, sizeof all) < 0)
            return -1;
    }
    assert_int_equal(listen(listener, 1), 0);
    /* The port is at the same place in both. */
    assert_int_equal(getsockname(listener, (struct sockaddr *)&all, &any), 0);
    four.sin_port = six.sin6_port = all.sin6_port;
    assert_int_equal(inet_pton(AF_INET, "127.0.0.1", &four.sin_addr), 1);
    assert_int_equal(inet_pton(AF_INET6, "::1", &six.sin6_addr), 1);
    if (connect(*client, where, len) < 0)
        return -1;
    assert_int_equal(getsockname(*client, (struct sockaddr *)&mine, &mine_len), 0);
    int server = accept(listener, NULL, NULL);
    close(listener);
    assert_true(server >= 0);
    snprintf(peer, 128, "%s %u %s %u", address, ntohs(mine.sin6_port), address,
             ntohs(all.sin6_port));
    return server;
}

static void vouched_over(int family, const char *address)
{
    char peer[128], variable[160], run[64];
    struct connection there;
    pam_handle_t *pamh;
    int client, server = accepted(family, address, peer, &client);

    if (server < 0)
        skip();
    snprintf(run, sizeof run, "%s/run", application.top);
    snprintf(variable, sizeof variable, "SSH_CONNECTION=%s", peer);
    pamh = application_start("sshd", "shelled");
    assert_int_equal(pam_putenv(pamh, variable), PAM_SUCCESS);
    assert_int_equal(pam_open_session(pamh, 0), PAM_SUCCESS);
    assert_true(connection_read(&there, run, peer, UID));
    assert_string_equal(there.name, "shelled");
    assert_int_equal(there.sshd, getpid());
    assert_string_equal(there.id, pam_getenv(pamh, "BERTH_CONNECTION"));
    assert_int_equal(strspn(there.id, "0123456789abcdef"), 16);
    assert_int_equal(pam_close_session(pamh, 0), PAM_SUCCESS);
    assert_false(connection_read(&there, run, peer, UID));
    pam_end(pamh, PAM_SUCCESS);
    close(server);
    close(client);
}

static void test_a_connection_is_vouched_for(void **state)
{
    (void)state;
    application_need_root();
    vouched_over(AF_INET, "127.0.0.1");
}

static void test_a_connection_by_ipv6_is_vouched_for(void **state)
{
    (void)state;
    application_need_root();
    vouched_over(AF_INET6, "::1");
}

/* sshd listens on [::] alone where it does so for both, and says IPv4 all the same. */
static void test_a_mapped_connection_is_vouched_for(void **state)
{
    (void)state;
    application_need_root();
    vouched_over(AF_INET6, "127.0.0.1");
}

/* What sshd's xauth writes to, as the user; the user's own words on it are cleared. */
static void test_a_file_for_xauth(void **state)
{
    char peer[128], variable[160], path[160];
    pam_handle_t *pamh;
    struct stat st;
    int client, server;

    (void)state;
    application_need_root();
    server = accepted(AF_INET, "127.0.0.1", peer, &client);
    assert_true(server >= 0);
    snprintf(variable, sizeof variable, "SSH_CONNECTION=%s", peer);
    application_write_config("user \"shelled\" { x11_forwarding = yes }\n");
    pamh = application_start("sshd", "shelled");
    assert_int_equal(pam_putenv(pamh, variable), PAM_SUCCESS);
    assert_int_equal(pam_putenv(pamh, "XAUTHORITY=/home/shelled/x"), PAM_SUCCESS);
    assert_int_equal(pam_open_session(pamh, 0), PAM_SUCCESS);
    snprintf(path, sizeof path, "%s/run/%d/xauth-%s", application.top, UID,
             pam_getenv(pamh, "BERTH_CONNECTION"));
    assert_string_equal(pam_getenv(pamh, "XAUTHORITY"), path);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_uid, UID);
    assert_int_equal(st.st_mode & 07777, 0600);
    assert_int_equal(geteuid(), 0);
    assert_int_equal(pam_close_session(pamh, 0), PAM_SUCCESS);
    assert_int_equal(access(path, F_OK), -1);
    pam_end(pamh, PAM_SUCCESS);
    /* Nothing is vouched for: nobody could find it. */
    pamh = application_start("sshd", "shelled");
    assert_int_equal(pam_open_session(pamh, 0), PAM_SUCCESS);
    assert_null(pam_getenv(pamh, "XAUTHORITY"));
    pam_end(pamh, PAM_SUCCESS);
    /* Nor unless berth.conf says so. */
    application_usual(NULL);
    pamh = application_start("sshd", "shelled");
    assert_int_equal(pam_putenv(pamh, variable), PAM_SUCCESS);
    assert_int_equal(pam_open_session(pamh, 0), PAM_SUCCESS);
    assert_null(pam_getenv(pamh, "XAUTHORITY"));
    assert_int_equal(pam_close_session(pamh, 0), PAM_SUCCESS);
    pam_end(pamh, PAM_SUCCESS);
    close(server);
    close(client);
}

static void refused_to_forward(const char *user, const char *peer, const char *says)
{
    pam_handle_t *pamh = application_start("sshd", user);

    if (peer)
        assert_int_equal(pam_putenv(pamh, peer), PAM_SUCCESS);
    assert_int_equal(pam_open_session(pamh, 0), PAM_SESSION_ERR);
    if (!strstr(application.said, says))
        fail_msg("said \"%s\", in place of: %s", application.said, says);
    pam_end(pamh, PAM_SUCCESS);
}

/* Whatever the shell: forwards would lead to this machine. And he hears why. */
static void test_no_network_no_session(void **state)
{
    char peer[128], variable[160];
    int client, server;

    (void)state;
    application_need_root();
    server = accepted(AF_INET, "127.0.0.1", peer, &client);
    assert_true(server >= 0);
    snprintf(variable, sizeof variable, "SSH_CONNECTION=%s", peer);
    application_write_config("defaults { forwarding = container }\n"
                             "user \"shelled\" {}\nuser \"bash\" {}\n");
    nss_hangs = true;
    refused_to_forward("shelled", variable, "user database");
    refused_to_forward("bash", variable, "user database");
    nss_hangs = false;
    refused_to_forward("shelled", NULL, "TCP connection");
    refused_to_forward("bash", NULL, "TCP connection");
    application_write_stack("sshd", "no-such debug");
    refused_to_forward("bash", variable, "no-such");
    close(server);
    close(client);
}

/* By a directory that has stopped answering since sshd asked it. */
static void test_an_account_that_is_gone(void **state)
{
    (void)state;
    application_need_root();
    pam_handle_t *pamh = application_start("sshd", "gone");
    assert_int_equal(pam_open_session(pamh, 0), PAM_SUCCESS);
    pam_end(pamh, PAM_SUCCESS);
    application_write_stack("sshd", "forwarding");
    pamh = application_start("sshd", "gone");
    assert_int_equal(pam_open_session(pamh, 0), PAM_SESSION_ERR);
    pam_end(pamh, PAM_SUCCESS);
}

/* Who isn't to forward is let alone, if berth-shell isn't his: he is to mend it. */
static void test_a_wrong_argument(void **state)
{
    (void)state;
    application_need_root();
    application_write_stack("sshd", "no-such");
    pam_handle_t *pamh = application_start("sshd", "bash");
    assert_int_equal(pam_open_session(pamh, 0), PAM_SUCCESS);
    assert_string_equal(application.said, "");
    pam_end(pamh, PAM_SUCCESS);
}

static void open_with_home(const char *home, int wanted)
{
    char text[256];

    snprintf(text, sizeof text, "user \"shelled\" { home = \"%s\" }\n", home);
    application_write_config(text);
    pam_handle_t *pamh = application_start("sshd", "shelled");
    assert_int_equal(pam_open_session(pamh, 0), wanted);
    pam_end(pamh, PAM_SUCCESS);
    application_usual(NULL);
}

static void test_home(void **state)
{
    char base[] = "/var/lib/berth-pam-XXXXXX", path[128];
    struct stat st;

    (void)state;
    application_need_root();
    /* /tmp is everybody's: not there. */
    assert_non_null(mkdtemp(base));
    assert_int_equal(chmod(base, 0755), 0);
    snprintf(path, sizeof path, "%s/%%u", base);
    open_with_home(path, PAM_SUCCESS);
    snprintf(path, sizeof path, "%s/shelled", base);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_uid, UID);
    assert_int_equal(st.st_gid, UID);
    assert_int_equal(st.st_mode & 07777, 0700);
    /* There already: nothing of it is touched. */
    assert_int_equal(chown(path, UID + 5, UID + 5), 0);
    open_with_home(path, PAM_SUCCESS);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_uid, UID + 5);
    assert_int_equal(rmdir(path), 0);
    /* No way to it, or one that others could turn. */
    snprintf(path, sizeof path, "%s/none/shelled", base);
    open_with_home(path, PAM_SESSION_ERR);
    assert_int_equal(chmod(base, 01777), 0);
    snprintf(path, sizeof path, "%s/shelled", base);
    open_with_home(path, PAM_SESSION_ERR);
    assert_non_null(strstr(application.said, "write"));
    assert_int_equal(chmod(base, 0755), 0);
    assert_int_equal(symlink("/", path), 0);
    open_with_home(path, PAM_SESSION_ERR);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(rmdir(base), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_session_clears_the_environment, application_usual),
        cmocka_unit_test_setup(test_session_of_others_is_left_alone, application_usual),
        cmocka_unit_test_setup(test_session_makes_the_directory, application_usual),
        cmocka_unit_test_setup(test_a_forged_connection_is_not_vouched_for, application_usual),
        cmocka_unit_test_setup(test_a_connection_is_vouched_for, application_usual),
        cmocka_unit_test_setup(test_a_connection_by_ipv6_is_vouched_for, application_usual),
        cmocka_unit_test_setup(test_a_mapped_connection_is_vouched_for, application_usual),
        cmocka_unit_test_setup(test_a_file_for_xauth, application_usual),
        cmocka_unit_test_setup(test_no_network_no_session, application_usual),
        cmocka_unit_test_setup(test_an_account_that_is_gone, application_usual),
        cmocka_unit_test_setup(test_a_wrong_argument, application_usual),
        cmocka_unit_test_setup(test_home, application_usual),
    };

    return cmocka_run_group_tests(tests, application_make, application_drop);
}
