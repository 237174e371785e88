/* pam_berth.so as an application of libpam's has it, with a configuration directory of
 * the test's own. NSS and the process's groups are the test's: what libpam and the
 * module call is found here first (-export-dynamic). */
#include "config.h"

#include "policy/connection.h"

#include <arpa/inet.h>
#include <grp.h>
#include <netinet/in.h>
#include <pwd.h>
#include <security/pam_appl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <cmocka.h>

#define MODULE BUILDDIR "/pam_berth.so"
#define SHELL  BERTH_LIBEXECDIR "/berth-shell"

/* No uid of any real account: what a test leaves in a runtime directory is nobody's. */
enum { UID = 61001, ENGINE = 61500, SECRETS = 61501, OWN = 61502 };

static char top[] = "/tmp/berth-pam-XXXXXX";
static char config[64];
static gid_t groups[16];
static size_t group_count;
static unsigned granted; /* how often setgroups was called */
static char said[2048];  /* what the module told the user */

/* --- what libpam and the module find in place of the C library's */

int getpwnam_r(const char *name, struct passwd *pw, char *buffer, size_t size,
               struct passwd **found)
{
    static const struct {
        const char *name, *shell;
        uid_t uid;
    } users[] = {{"shelled", SHELL, UID},
                 {"unmapped", SHELL, UID + 1},
                 {"bash", "/bin/bash", UID + 2},
                 {"other", "/bin/bash", UID + 3},
                 {"root", "/bin/bash", 0}};

    *found = NULL;
    for (size_t i = 0; i < sizeof users / sizeof *users; i++) {
        if (strcmp(name, users[i].name) != 0)
            continue;
        size_t len = (size_t)snprintf(buffer, size, "%s%c%s%c/home/x%cx", name, 0, users[i].shell,
                                      0, 0);
        if (len >= size)
            return 34; /* ERANGE: libpam comes with more */
        pw->pw_name = buffer;
        pw->pw_shell = buffer + strlen(name) + 1;
        pw->pw_dir = pw->pw_shell + strlen(pw->pw_shell) + 1;
        pw->pw_passwd = pw->pw_gecos = pw->pw_dir + strlen(pw->pw_dir) + 1;
        pw->pw_uid = users[i].uid;
        pw->pw_gid = users[i].uid;
        *found = pw;
        break;
    }
    return 0;
}

int getgrnam_r(const char *name, struct group *group, char *buffer, size_t size,
               struct group **found)
{
    static const struct {
        const char *name;
        gid_t gid;
    } all[] = {{"engine", ENGINE}, {"secrets", SECRETS}, {"root", 0}};
    static char *nobody[] = {NULL};

    (void)buffer;
    (void)size;
    *found = NULL;
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (strcmp(name, all[i].name) == 0) {
            group->gr_name = group->gr_passwd = (char *)all[i].name;
            group->gr_gid = all[i].gid;
            group->gr_mem = nobody;
            *found = group;
        }
    return 0;
}

int getgroups(int size, gid_t list[])
{
    for (size_t i = 0; size > 0 && i < group_count; i++)
        list[i] = groups[i];
    return (int)group_count;
}

int setgroups(size_t size, const gid_t *list)
{
    granted++;
    group_count = size;
    memcpy(groups, list, size * sizeof *list);
    return 0;
}

/* --- the application */

static int converse(int count, const struct pam_message **messages, struct pam_response **replies,
                    void *data)
{
    (void)data;
    *replies = calloc((size_t)count, sizeof **replies);
    for (int i = 0; i < count; i++)
        strncat(said, messages[i]->msg, sizeof said - strlen(said) - 1);
    return *replies ? PAM_SUCCESS : PAM_BUF_ERR;
}

static void write_file(const char *name, const char *text)
{
    char path[128];

    snprintf(path, sizeof path, "%s/%s", top, name);
    FILE *file = fopen(path, "we");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(chmod(path, 0644), 0);
}

/* pam_berth between two modules that have a say, so that its PAM_IGNORE shows. */
static void write_stack(const char *service, const char *arguments)
{
    char all[256], text[3 * (sizeof MODULE + sizeof all) + 256];

    snprintf(all, sizeof all, "config=%s %s", config, arguments);
    snprintf(text, sizeof text,
             "auth required %s %s\nauth required pam_permit.so\n"
             "account required %s %s\naccount required pam_permit.so\n"
             "session required pam_permit.so\nsession required %s %s\n",
             MODULE, all, MODULE, all, MODULE, all);
    write_file(service, text);
}

static void write_config(const char *users)
{
    char text[1024];

    snprintf(text, sizeof text, "runtime_dir = \"%s/run\"\ndefaults { image = \"x\" }\n%s", top,
             users);
    write_file("berth.conf", text);
}

static pam_handle_t *start(const char *service, const char *user)
{
    static const struct pam_conv conversation = {.conv = converse};
    pam_handle_t *pamh = NULL;

    said[0] = '\0';
    granted = 0;
    group_count = 1;
    groups[0] = OWN;
    assert_int_equal(pam_start_confdir(service, user, &conversation, top, &pamh), PAM_SUCCESS);
    return pamh;
}

static int setcred(const char *service, const char *user)
{
    pam_handle_t *pamh = start(service, user);
    int rc = pam_setcred(pamh, PAM_ESTABLISH_CRED);

    pam_end(pamh, rc);
    return rc;
}

static int account(const char *service, const char *user)
{
    pam_handle_t *pamh = start(service, user);
    int rc = pam_acct_mgmt(pamh, 0);

    pam_end(pamh, rc);
    return rc;
}

static bool has(gid_t gid)
{
    for (size_t i = 0; i < group_count; i++)
        if (groups[i] == gid)
            return true;
    return false;
}

static int make(void **state)
{
    char run[64];

    (void)state;
    if (!mkdtemp(top) || chmod(top, 0755) < 0)
        return -1;
    snprintf(config, sizeof config, "%s/berth.conf", top);
    snprintf(run, sizeof run, "%s/run", top);
    return mkdir(run, 0700) < 0 || chmod(run, 01777) < 0 ? -1 : 0;
}

static int drop(void **state)
{
    char command[128];

    (void)state;
    snprintf(command, sizeof command, "rm -rf %s", top);
    return system(command);
}

static int usual(void **state)
{
    (void)state;
    write_stack("sshd", "groups=engine,secrets");
    write_config("user \"shelled\" {}\nuser \"bash\" {}\nuser \"root\" {}\n");
    return 0;
}

/* --- */

static void need_root(void)
{
    if (getuid() != 0)
        skip(); /* berth.conf and the runtime directory must be root's */
}

static void test_groups_are_given(void **state)
{
    (void)state;
    need_root();
    assert_int_equal(setcred("sshd", "shelled"), PAM_SUCCESS);
    assert_int_equal(granted, 1);
    assert_int_equal(group_count, 3);
    assert_true(has(OWN) && has(ENGINE) && has(SECRETS));
}

static void test_groups_are_given_once(void **state)
{
    pam_handle_t *pamh;

    (void)state;
    need_root();
    pamh = start("sshd", "shelled");
    assert_int_equal(pam_setcred(pamh, PAM_ESTABLISH_CRED), PAM_SUCCESS);
    assert_int_equal(pam_setcred(pamh, PAM_REINITIALIZE_CRED), PAM_SUCCESS);
    assert_int_equal(pam_setcred(pamh, PAM_DELETE_CRED), PAM_SUCCESS);
    assert_int_equal(group_count, 3);
    assert_int_equal(granted, 1);
    pam_end(pamh, PAM_SUCCESS);
}

static void test_nobody_else_gets_them(void **state)
{
    static const char *const users[] = {"bash", "unmapped", "other", "root"};
    static const char *const services[] = {"su", "cron", "systemd-user", "login", "sshd2"};

    (void)state;
    need_root();
    for (size_t i = 0; i < sizeof users / sizeof *users; i++) {
        assert_int_equal(setcred("sshd", users[i]), PAM_SUCCESS);
        assert_int_equal(granted, 0);
    }
    /* The same lines in a stack that is not sshd's, as common-auth's would be. */
    for (size_t i = 0; i < sizeof services / sizeof *services; i++) {
        write_stack(services[i], "groups=engine,secrets");
        assert_int_equal(setcred(services[i], "shelled"), PAM_SUCCESS);
        assert_int_equal(granted, 0);
        assert_int_equal(account(services[i], "unmapped"), PAM_SUCCESS);
    }
}

static void test_groups_that_are_none(void **state)
{
    (void)state;
    need_root();
    write_stack("sshd", "groups=nosuch,,root,engine");
    assert_int_equal(setcred("sshd", "shelled"), PAM_SUCCESS);
    assert_int_equal(group_count, 2);
    assert_true(has(ENGINE) && !has(0));
    usual(NULL);
}

static void test_no_groups_without_a_configuration(void **state)
{
    (void)state;
    need_root();
    write_config("user \"shelled\" { nonsense = 1 }\n");
    assert_int_equal(setcred("sshd", "shelled"), PAM_SUCCESS);
    assert_int_equal(granted, 0);
    usual(NULL);
}

static void test_authenticate_has_no_say(void **state)
{
    pam_handle_t *pamh;

    (void)state;
    need_root();
    write_file("sshd", "auth required " MODULE "\nauth required pam_deny.so\n");
    pamh = start("sshd", "shelled");
    assert_int_not_equal(pam_authenticate(pamh, 0), PAM_SUCCESS);
    pam_end(pamh, PAM_SUCCESS);
    usual(NULL);
    pamh = start("sshd", "unmapped");
    assert_int_equal(pam_authenticate(pamh, 0), PAM_SUCCESS);
    pam_end(pamh, PAM_SUCCESS);
}

static void test_account(void **state)
{
    (void)state;
    need_root();
    assert_int_equal(account("sshd", "shelled"), PAM_SUCCESS);
    assert_int_equal(account("sshd", "bash"), PAM_SUCCESS);
    assert_int_equal(account("sshd", "other"), PAM_SUCCESS);
    assert_int_equal(account("sshd", "root"), PAM_SUCCESS);
    assert_string_equal(said, "");
    assert_int_equal(account("sshd", "unmapped"), PAM_PERM_DENIED);
    assert_non_null(strstr(said, "matches"));
    assert_null(strchr(said, '\n'));
}

static void test_account_without_a_configuration(void **state)
{
    static const char *const bad[] = {"user \"shelled\" { nonsense = 1 }\n", "user {", "\xff"};

    (void)state;
    need_root();
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        write_config(bad[i]);
        assert_int_equal(account("sshd", "shelled"), PAM_PERM_DENIED);
        assert_non_null(strstr(said, "berth.conf"));
        assert_int_equal(account("sshd", "bash"), PAM_SUCCESS);
        assert_int_equal(account("sshd", "root"), PAM_SUCCESS);
    }
    usual(NULL);
}

static void test_arguments_that_there_are_not(void **state)
{
    static const char *const bad[] = {"group=engine", "groups=", "config=berth.conf", "Debug",
                                      "groups=engine nonsense"};

    (void)state;
    need_root();
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        write_stack("sshd", bad[i]);
        assert_int_equal(setcred("sshd", "shelled"), PAM_SERVICE_ERR);
        assert_int_equal(granted, 0);
        assert_int_equal(account("sshd", "shelled"), PAM_SERVICE_ERR);
        assert_non_null(strstr(said, "argument"));
        assert_int_equal(account("sshd", "bash"), PAM_SUCCESS);
        assert_int_equal(account("sshd", "root"), PAM_SUCCESS);
    }
    usual(NULL);
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
    need_root();
    pamh = start("sshd", "shelled");
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
    need_root();
    pamh = start("sshd", "other");
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
    need_root();
    snprintf(own, sizeof own, "%s/run/%d", top, UID);
    (void)rmdir(own);
    pamh = start("sshd", "shelled");
    assert_int_equal(pam_open_session(pamh, 0), PAM_SUCCESS);
    assert_int_equal(stat(own, &st), 0);
    assert_int_equal(st.st_uid, UID);
    assert_int_equal(st.st_mode & 07777, 0700);
    assert_int_equal(geteuid(), 0);
    pam_end(pamh, PAM_SUCCESS);
    /* Somebody was there before. */
    assert_int_equal(chown(own, UID + 9, (gid_t)-1), 0);
    pamh = start("sshd", "shelled");
    assert_int_equal(pam_open_session(pamh, 0), PAM_SESSION_ERR);
    assert_non_null(strstr(said, own));
    pam_end(pamh, PAM_SUCCESS);
    assert_int_equal(rmdir(own), 0);
    assert_int_equal(symlink("/tmp", own), 0);
    pamh = start("sshd", "shelled");
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
    need_root();
    pamh = start("sshd", "shelled");
    assert_int_equal(pam_putenv(pamh, "SSH_CONNECTION=192.0.2.7 50022 192.0.2.1 22"), PAM_SUCCESS);
    assert_int_equal(pam_open_session(pamh, 0), PAM_SUCCESS);
    assert_null(pam_getenv(pamh, "BERTH_CONNECTION"));
    snprintf(path, sizeof path, "%s/run/connections/192.0.2.7_50022_192.0.2.1_22", top);
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
    snprintf(run, sizeof run, "%s/run", top);
    snprintf(variable, sizeof variable, "SSH_CONNECTION=%s", peer);
    pamh = start("sshd", "shelled");
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
    need_root();
    vouched_over(AF_INET, "127.0.0.1");
}

static void test_a_connection_by_ipv6_is_vouched_for(void **state)
{
    (void)state;
    need_root();
    vouched_over(AF_INET6, "::1");
}

/* sshd listens on [::] alone where it does so for both, and says IPv4 all the same. */
static void test_a_mapped_connection_is_vouched_for(void **state)
{
    (void)state;
    need_root();
    vouched_over(AF_INET6, "127.0.0.1");
}

static void open_with_home(const char *home, int wanted)
{
    char text[256];

    snprintf(text, sizeof text, "user \"shelled\" { home = \"%s\" }\n", home);
    write_config(text);
    pam_handle_t *pamh = start("sshd", "shelled");
    assert_int_equal(pam_open_session(pamh, 0), wanted);
    pam_end(pamh, PAM_SUCCESS);
    usual(NULL);
}

static void test_home(void **state)
{
    char base[] = "/var/lib/berth-pam-XXXXXX", path[128];
    struct stat st;

    (void)state;
    need_root();
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
    assert_non_null(strstr(said, "write"));
    assert_int_equal(chmod(base, 0755), 0);
    assert_int_equal(symlink("/", path), 0);
    open_with_home(path, PAM_SESSION_ERR);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(rmdir(base), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_groups_are_given, usual),
        cmocka_unit_test_setup(test_groups_are_given_once, usual),
        cmocka_unit_test_setup(test_nobody_else_gets_them, usual),
        cmocka_unit_test_setup(test_groups_that_are_none, usual),
        cmocka_unit_test_setup(test_no_groups_without_a_configuration, usual),
        cmocka_unit_test_setup(test_authenticate_has_no_say, usual),
        cmocka_unit_test_setup(test_account, usual),
        cmocka_unit_test_setup(test_account_without_a_configuration, usual),
        cmocka_unit_test_setup(test_arguments_that_there_are_not, usual),
        cmocka_unit_test_setup(test_session_clears_the_environment, usual),
        cmocka_unit_test_setup(test_session_of_others_is_left_alone, usual),
        cmocka_unit_test_setup(test_session_makes_the_directory, usual),
        cmocka_unit_test_setup(test_a_forged_connection_is_not_vouched_for, usual),
        cmocka_unit_test_setup(test_a_connection_is_vouched_for, usual),
        cmocka_unit_test_setup(test_a_connection_by_ipv6_is_vouched_for, usual),
        cmocka_unit_test_setup(test_a_mapped_connection_is_vouched_for, usual),
        cmocka_unit_test_setup(test_home, usual),
    };

    return cmocka_run_group_tests(tests, make, drop);
}
