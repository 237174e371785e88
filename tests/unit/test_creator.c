/* The guest's first talk, and who may be at the other end of it. Its path is a fixed one:
 * here a child has a folder of the test's for its root. That takes root, or a user
 * namespace of its own. */
#include "config.h"

#include "base/file.h"
#include "guest/creator.h"
#include "protocol/stream.h"

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

enum { WAIT_MS = 5000 };

static char top[] = "/tmp/berth-creator-XXXXXX";
static int folder = -1, listener = -1;

static int bind_in_folder(const char *name)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    snprintf(at.sun_path, sizeof at.sun_path, "%s" GUEST_RUN "/%s", top, name);
    return bind(fd, (struct sockaddr *)&at, sizeof at) < 0 ? -1 : fd;
}

static int make(void **state)
{
    (void)state;
    folder = mkdtemp(top) ? open(top, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    if (folder < 0 || mkdirat(folder, ".berth", 0700) < 0 ||
        mkdirat(folder, ".berth/run", 0700) < 0)
        return -1;
    listener = bind_in_folder(START_SOCKET);
    return listener < 0 ? -1 : listen(listener, 4);
}

static int drop(void **state)
{
    (void)state;
    close_fd(&listener);
    unlinkat(folder, ".berth/run/" START_SOCKET, 0);
    unlinkat(folder, ".berth/run", AT_REMOVEDIR);
    unlinkat(folder, ".berth", AT_REMOVEDIR);
    close_fd(&folder);
    return rmdir(top);
}

/* --- the guest: its exit status says whether all was as it should be */

/* Goes on in this PID namespace, or as process 1 of its own. */
static bool move(bool own_processes)
{
    int flags = (geteuid() != 0 ? CLONE_NEWUSER : 0) | (own_processes ? CLONE_NEWPID : 0);
    int status;

    if (unshare(flags) < 0)
        return false;
    pid_t pid = fork();
    if (pid <= 0)
        return pid == 0;
    waitpid(pid, &status, 0);
    _exit(WIFEXITED(status) ? WEXITSTATUS(status) : 1);
}

static bool change_root(int to)
{
    return fchdir(to) == 0 && chroot(".") == 0;
}

static int exit_status(pid_t pid)
{
    int status;

    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void skip_without_namespaces(void)
{
    pid_t pid = fork();

    assert_true(pid >= 0);
    if (pid == 0)
        _exit(move(true) && chroot("/") == 0 ? 0 : 1);
    if (exit_status(pid) != 0)
        skip();
}

static bool meets(const char *says)
{
    cleanup_error struct error *err = NULL;
    struct creator c = {.listener = -1, .master = 12345};
    int accepting = 0;
    socklen_t len = sizeof accepting;

    int rc = creator_meet(&c, &err);
    if (says) {
        if (rc == -1 && strcmp(error_text(err), says) == 0 && c.listener < 0)
            return true;
        fprintf(stderr, "said \"%s\", in place of: %s\n", error_text(err), says);
        return false;
    }
    return rc == 0 && c.master == getuid() && c.listen.linger == 77 && c.listen.grace == 1234 &&
           c.listen.once && fcntl(c.listener, F_GETFL) & O_NONBLOCK &&
           getsockopt(c.listener, SOL_SOCKET, SO_ACCEPTCONN, &accepting, &len) == 0 && accepting &&
           close(c.listener) == 0;
}

/* One that is told so, or, NULL, that all is well. */
static pid_t start_guest(bool own_processes, const char *says)
{
    pid_t pid = fork();

    assert_true(pid >= 0);
    if (pid > 0)
        return pid;
    cleanup_fd int root = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool met = move(own_processes) && change_root(folder) && meets(says);
    /* What --enable-coverage has written by the end belongs there. */
    _exit(change_root(root) && met ? 0 : 1);
}

/* --- the creator, which is this process */

static int accept_guest(void)
{
    struct pollfd slot = {.fd = listener, .events = POLLIN};

    assert_int_equal(poll(&slot, 1, WAIT_MS), 1);
    int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    assert_true(fd >= 0);
    return fd;
}

static void await(int fd, enum message_type type)
{
    struct stream stream;
    cleanup_message struct message m = {.fds = {-1, -1, -1}};
    const char *why;
    enum stream_result result;
    struct pollfd slot = {.fd = fd, .events = POLLIN};

    stream_open(&stream, fd, MESSAGE_FROM_GUEST);
    while ((result = stream_read(&stream, &m, &why)) == STREAM_AGAIN)
        assert_int_equal(poll(&slot, 1, WAIT_MS), 1);
    assert_int_equal(result, STREAM_MESSAGE);
    assert_int_equal(m.type, type);
}

static void send_listen(int fd)
{
    unsigned char payload[MESSAGE_LISTEN_SIZE];
    cleanup_fd int guest = bind_in_folder(GUEST_SOCKET);

    unlinkat(folder, ".berth/run/" GUEST_SOCKET, 0);
    message_listen_write(payload, &(struct message_listen){77, 1234, true});
    assert_int_equal(message_send(fd, MESSAGE_LISTEN, payload, sizeof payload, &guest, 1, WAIT_MS),
                     0);
}

static void test_inside(void **state)
{
    cleanup_fd int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    int ends[2];
    uid_t uid = 12345;

    (void)state;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    assert_false(creator_outside(ends[0], &uid));
    assert_int_equal(uid, getuid());
    assert_false(creator_outside(null, &uid));
    close_fd(&ends[0]);
    close_fd(&ends[1]);
}

/* The same socket, in the hands of who sees no such process. */
static void test_outside(void **state)
{
    int ends[2];
    uid_t uid = 12345;

    (void)state;
    skip_without_namespaces();
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0)
        _exit(move(true) && creator_outside(ends[0], &uid) && uid == getuid() ? 0 : 1);
    close_fd(&ends[0]);
    close_fd(&ends[1]);
    assert_int_equal(exit_status(pid), 0);
}

/* The talk that works. */
static void test_meets(void **state)
{
    (void)state;
    skip_without_namespaces();
    pid_t pid = start_guest(true, NULL);
    cleanup_fd int fd = accept_guest();
    await(fd, MESSAGE_HELLO);
    send_listen(fd);
    await(fd, MESSAGE_LISTENING);
    assert_int_equal(exit_status(pid), 0);
}

/* Whoever made the socket in here hears nothing, not even HELLO. */
static void test_made_inside(void **state)
{
    char byte;

    (void)state;
    skip_without_namespaces();
    pid_t pid = start_guest(false, "/.berth/run/start: made inside this container");
    cleanup_fd int fd = accept_guest();
    assert_int_equal(recv(fd, &byte, 1, 0), 0);
    assert_int_equal(exit_status(pid), 0);
}

/* What comes in place of LISTEN. */
static void answers(const char *bytes, size_t len, const char *says)
{
    pid_t pid = start_guest(true, says);
    cleanup_fd int fd = accept_guest();

    await(fd, MESSAGE_HELLO);
    assert_int_equal(send(fd, bytes, len, MSG_NOSIGNAL), len);
    close_fd(&fd);
    assert_int_equal(exit_status(pid), 0);
}

static void test_wrong_answers(void **state)
{
#define ANSWERS(bytes, says) answers(bytes, sizeof(bytes) - 1, "/.berth/run/start: " says)
    (void)state;
    skip_without_namespaces();
    ANSWERS("", "closed");
    ANSWERS("\2L\0\0\0", "a message cut off");
    ANSWERS("\2K\0\0\0\0\0\1\17", "a message that isn't due");
    ANSWERS("\3K\0\0\0\0\0\1\17", "a message of another version of the protocol");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_inside),        cmocka_unit_test(test_outside),
        cmocka_unit_test(test_meets),         cmocka_unit_test(test_made_inside),
        cmocka_unit_test(test_wrong_answers),
    };

    return cmocka_run_group_tests(tests, make, drop);
}
