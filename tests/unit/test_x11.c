/* sshd's port for a display, and the display's socket in a container's folder. */
#include "config.h"

#include "session/x11.h"
#include "session/x11_place.h"

#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define A "00000000000000a1"
#define B "00000000000000b2"

static char top[32];
static int folder;

static int make(void **state)
{
    struct error *err = NULL;

    (void)state;
    snprintf(top, sizeof top, "/tmp/berth-x11-XXXXXX");
    folder = mkdtemp(top) ? open(top, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    return folder < 0 || x11_place_make(folder, &err) < 0;
}

static int drop(void **state)
{
    (void)state;
    x11_place_remove(folder);
    close_fd(&folder);
    return rmdir(top); /* nothing is left in it */
}

static void test_displays(void **state)
{
    static const char *const wrong[] = {"",
                                        ":0",
                                        ":10.0",
                                        "unix:10.0",
                                        "vm:10.0",
                                        "localhost",
                                        "localhost:",
                                        "localhost:.0",
                                        "localhost:10.",
                                        "localhost:10.256",
                                        "localhost:10.0.0",
                                        "localhost:10.0 ",
                                        "localhost:+10",
                                        "localhost: 10",
                                        "localhost:-1",
                                        "localhost:59536",
                                        "localhost:999999",
                                        "localhost:4294967306",
                                        "localhost::10",
                                        "localhost/unix:10",
                                        "127.0.0.2:10.0",
                                        "127.0.0.1.evil:10.0",
                                        "tcp/localhost:10.0",
                                        "/tmp/x:10"};
    struct error *err = NULL;
    struct x11 x11;

    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        if (x11_read(&x11, wrong[i], &err) == 0)
            fail_msg("\"%s\" was taken", wrong[i]);
        error_clear(&err);
    }
    assert_int_equal(x11_read(&x11, "localhost:10.2", &err), 0);
    assert_int_equal(x11.number, 10);
    assert_int_equal(x11.screen, 2);
    assert_int_equal(x11_read(&x11, "127.0.0.1:59535", &err), 0);
    assert_int_equal(x11.number, 59535);
    assert_int_equal(x11.screen, 0);
}

/* A port as sshd has it; its display's number in *number. */
static int listening(int family, unsigned *number)
{
    struct sockaddr_in four = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    struct sockaddr_in6 six = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    struct sockaddr *at = family == AF_INET ? (void *)&four : (void *)&six;
    socklen_t len = family == AF_INET ? sizeof four : sizeof six;
    int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;
    unsigned first = *number ? *number : 20000, last = *number ? *number : 50000;

    if (family == AF_INET6)
        (void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
    for (unsigned n = first; fd >= 0 && n <= last; n++) {
        four.sin_port = six.sin6_port = htons((uint16_t)(X11_PORT + n));
        if (bind(fd, at, len) == 0 && listen(fd, 8) == 0) {
            *number = n;
            return fd;
        }
    }
    close_fd(&fd);
    return -1;
}

static void find(struct x11 *x11, unsigned number)
{
    char display[32];
    struct error *err = NULL;

    snprintf(display, sizeof display, "localhost:%u.0", number);
    assert_int_equal(x11_read(x11, display, &err), 0);
    if (x11_find(x11, &err) < 0)
        fail_msg("%s", error_text(err));
}

static void connect_and_say(const struct x11 *x11, int listener)
{
    struct error *err = NULL;
    char byte = 0;
    cleanup_fd int fd = x11_connect(x11, &err);

    if (fd < 0)
        fail_msg("%s", error_text(err));
    assert_true(fcntl(fd, F_GETFL) & O_NONBLOCK);
    cleanup_fd int other = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    assert_int_equal(write(fd, "l", 1), 1);
    assert_int_equal(read(other, &byte, 1), 1);
    assert_int_equal(byte, 'l');
}

static void test_who_listens(void **state)
{
    struct error *err = NULL;
    struct x11 x11;
    unsigned number = 0;

    (void)state;
    int listener = listening(AF_INET, &number);
    assert_true(listener >= 0);
    find(&x11, number);
    connect_and_say(&x11, listener);
    close(listener);
    assert_int_equal(x11_connect(&x11, &err), -1);
    error_clear(&err);
    assert_int_equal(x11_find(&x11, &err), -1);
    assert_non_null(strstr(error_text(err), "nobody listens"));
    error_clear(&err);
}

static void test_another_one_listens_by_now(void **state)
{
    struct error *err = NULL;
    struct x11 x11;
    unsigned number = 0;

    (void)state;
    int listener = listening(AF_INET, &number);
    find(&x11, number);
    close(listener);
    listener = listening(AF_INET, &number);
    assert_true(listener >= 0);
    assert_int_equal(x11_connect(&x11, &err), -1);
    assert_non_null(strstr(error_text(err), "isn't who did"));
    error_clear(&err);
    close(listener);
}

static void test_by_ipv6_alone(void **state)
{
    struct x11 x11;
    unsigned number = 0;

    (void)state;
    int listener = listening(AF_INET6, &number);
    if (listener < 0)
        skip(); /* this machine has none */
    find(&x11, number);
    connect_and_say(&x11, listener);
    close(listener);
}

static void test_another_user_listens(void **state)
{
    struct error *err = NULL;
    struct x11 x11 = {0};
    unsigned number = 0;
    int ready[2], end[2], status;
    char byte;

    (void)state;
    if (getuid() != 0)
        skip();
    assert_int_equal(pipe(ready), 0);
    assert_int_equal(pipe(end), 0);
    pid_t pid = fork();
    if (pid == 0) {
        close(end[1]);
        if (setuid(65534) < 0 || listening(AF_INET, &number) < 0 ||
            write(ready[1], &number, sizeof number) != sizeof number)
            _exit(1);
        _exit(read(end[0], &byte, 1) != 0);
    }
    assert_int_equal(read(ready[0], &number, sizeof number), sizeof number);
    x11.number = number;
    assert_int_equal(x11_find(&x11, &err), -1);
    assert_non_null(strstr(error_text(err), "another user"));
    error_clear(&err);
    close(end[1]);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    close(end[0]);
    close(ready[0]);
    close(ready[1]);
}

/* --- in the container's folder */

static struct x11 display(unsigned number)
{
    return (struct x11){.number = number, .cookie = {"cookie", 6}};
}

static int listen_for(const char *session, unsigned number)
{
    const struct x11 x11 = display(number);
    struct error *err = NULL;
    int fd = x11_listen(folder, session, &x11, &err);

    if (fd < 0)
        fail_msg("%s", error_text(err));
    return fd;
}

static void withdraw(const char *session, unsigned number)
{
    const struct x11 x11 = display(number);

    x11_withdraw(folder, session, &x11);
}

/* Whether the socket of that name is `session`'s. */
static bool leads_to(const char *name, const char *session)
{
    char path[64], own[64];
    struct stat one, other;

    snprintf(path, sizeof path, "x11/%s", name);
    snprintf(own, sizeof own, "x11/.%s", session);
    return fstatat(folder, path, &one, 0) == 0 && fstatat(folder, own, &other, 0) == 0 &&
           one.st_ino == other.st_ino;
}

static bool is_there(const char *path)
{
    return faccessat(folder, path, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

static void test_made_and_withdrawn(void **state)
{
    struct stat st;

    (void)state;
    mode_t before = umask(077);
    int a = listen_for(A, 10), b = listen_for(B, 11);
    umask(before);
    assert_int_equal(fstatat(folder, "x11/X10", &st, AT_SYMLINK_NOFOLLOW), 0);
    assert_true(S_ISSOCK(st.st_mode) && (st.st_mode & 0777) == 0666);
    assert_int_equal(fstatat(folder, "xauthority." A, &st, AT_SYMLINK_NOFOLLOW), 0);
    assert_true(S_ISREG(st.st_mode) && (st.st_mode & 0777) == 0644 && st.st_size > 0);
    assert_true(leads_to("X10", A) && leads_to("X11", B));
    withdraw(A, 10);
    assert_false(is_there("x11/X10") || is_there("x11/." A) || is_there("xauthority." A));
    assert_true(leads_to("X11", B) && is_there("xauthority." B));
    withdraw(B, 11);
    withdraw(B, 11);
    close(a);
    close(b);
}

/* sshd gave the number to a later one; whose end comes first doesn't matter. */
static void test_a_number_that_is_taken_over(void **state)
{
    (void)state;
    int a = listen_for(A, 10), b = listen_for(B, 10);
    assert_true(leads_to("X10", B));
    withdraw(A, 10);
    assert_true(leads_to("X10", B));
    withdraw(B, 10);
    assert_false(is_there("x11/X10"));
    close(a);
    close(b);
}

/* Killed ones leave their sockets. */
static void test_dead_ones_are_removed(void **state)
{
    (void)state;
    close(listen_for(A, 10));
    assert_true(is_there("x11/X10") && is_there("x11/." A));
    int b = listen_for(B, 11);
    assert_false(is_there("x11/X10") || is_there("x11/." A));
    assert_true(leads_to("X11", B));
    withdraw(B, 11);
    close(b);
    withdraw(A, 10);
}

/* All at once, by few numbers: who is there through all of it stays. */
static void test_beginning_and_ending_together(void **state)
{
    enum { EACH = 8, TIMES = 50, NUMBERS = 3 };
    int status;

    (void)state;
    int a = listen_for(A, 10);
    for (int i = 0; i < EACH; i++) {
        if (fork() != 0)
            continue;
        char session[17];
        snprintf(session, sizeof session, "0000000000000%03d", i);
        for (int j = 0; j < TIMES; j++) {
            const struct x11 x11 = display(20 + (unsigned)(i % NUMBERS));
            struct error *err = NULL;
            int fd = x11_listen(folder, session, &x11, &err);
            if (fd < 0)
                _exit(1);
            x11_withdraw(folder, session, &x11);
            close(fd);
        }
        _exit(0);
    }
    for (int i = 0; i < EACH; i++) {
        assert_true(wait(&status) > 0);
        assert_int_equal(status, 0);
    }
    assert_true(leads_to("X10", A));
    withdraw(A, 10);
    for (unsigned n = 20; n < 20 + NUMBERS; n++) {
        char name[16];
        snprintf(name, sizeof name, "x11/X%u", n);
        assert_false(is_there(name));
    }
    close(a);
}

/* A link that a hostile login put in the folder's place leads nobody elsewhere. */
static void test_a_folder_that_is_a_link(void **state)
{
    struct error *err = NULL;
    const struct x11 x11 = display(10);

    (void)state;
    assert_int_equal(unlinkat(folder, "x11", AT_REMOVEDIR), 0);
    assert_int_equal(mkdirat(folder, "elsewhere", 0755), 0);
    assert_int_equal(symlinkat("elsewhere", folder, "x11"), 0);
    assert_int_equal(x11_place_make(folder, &err), -1);
    error_clear(&err);
    assert_int_equal(x11_listen(folder, A, &x11, &err), -1);
    error_clear(&err);
    x11_place_remove(folder);
    assert_int_equal(unlinkat(folder, "elsewhere", AT_REMOVEDIR), 0);
    assert_int_equal(unlinkat(folder, "x11", 0), 0);
    assert_int_equal(x11_place_make(folder, &err), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_displays),
        cmocka_unit_test(test_who_listens),
        cmocka_unit_test(test_another_one_listens_by_now),
        cmocka_unit_test(test_by_ipv6_alone),
        cmocka_unit_test(test_another_user_listens),
        cmocka_unit_test(test_made_and_withdrawn),
        cmocka_unit_test(test_a_number_that_is_taken_over),
        cmocka_unit_test(test_dead_ones_are_removed),
        cmocka_unit_test(test_beginning_and_ending_together),
        cmocka_unit_test(test_a_folder_that_is_a_link),
    };

    return cmocka_run_group_tests(tests, make, drop);
}
