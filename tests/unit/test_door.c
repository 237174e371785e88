/* The creator's door: one process comes in by it, whoever was there first. */
#include "config.h"

#include "pidfds.h"

#include "base/file.h"
#include "channel/door.h"
#include "channel/guest.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

enum { SEND_MS = 5000 };

static const struct message_listen terms = {.linger = 77, .grace = 1234, .once = true};

static char top[] = "/tmp/berth-door-XXXXXX";
static int folder = -1;

static int make(void **state)
{
    (void)state;
    folder = mkdtemp(top) ? open(top, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    return folder < 0 ? -1 : 0;
}

static int drop(void **state)
{
    (void)state;
    unlinkat(folder, START_SOCKET, 0);
    unlinkat(folder, GUEST_SOCKET, 0);
    close_fd(&folder);
    return rmdir(top);
}

static int count_open(void)
{
    int n = 0;
    DIR *dir = opendir("/proc/self/fd");

    assert_non_null(dir);
    while (readdir(dir))
        n++;
    closedir(dir);
    return n;
}

/* --- who comes: each is a process of its own, and says by its exit status whether it
 * was met as it should be */

typedef bool caller(int fd, int connected);

static int call(void)
{
    struct sockaddr_un at;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    guest_address(&at, folder, START_SOCKET);
    return connect(fd, (struct sockaddr *)&at, sizeof at) < 0 ? -1 : fd;
}

static bool hello(int fd)
{
    static const unsigned char versions[] = {MESSAGE_VERSION, MESSAGE_VERSION};

    return message_send(fd, MESSAGE_HELLO, versions, sizeof versions, NULL, 0, SEND_MS) == 0;
}

static bool listening(int fd)
{
    return message_send(fd, MESSAGE_LISTENING, NULL, 0, NULL, 0, SEND_MS) == 0;
}

static bool tell(int connected)
{
    return write(connected, "c", 1) == 1;
}

/* The end, without a byte or a descriptor. What wasn't read of it makes that a reset. */
static bool sent_away(int fd)
{
    char byte, control[CMSG_SPACE(MESSAGE_FDS_MAX * sizeof(int))];
    struct iovec piece = {.iov_base = &byte, .iov_len = 1};
    struct msghdr msg = {.msg_iov = &piece,
                         .msg_iovlen = 1,
                         .msg_control = control,
                         .msg_controllen = sizeof control};
    struct pollfd slot = {.fd = fd, .events = POLLIN};

    if (poll(&slot, 1, SEND_MS) != 1)
        return false;
    ssize_t n = recvmsg(fd, &msg, MSG_DONTWAIT);
    return n == 0 ? msg.msg_controllen == 0 : n < 0 && errno == ECONNRESET;
}

static bool is_silent(int fd, int connected)
{
    return tell(connected) && sent_away(fd);
}

static bool is_garbage(int fd, int connected)
{
    return send(fd, "GET / HTTP/1.1\r\n", 16, MSG_NOSIGNAL) == 16 && tell(connected) &&
           sent_away(fd);
}

/* All that the guest would say. */
static bool is_an_impostor(int fd, int connected)
{
    return hello(fd) && listening(fd) && tell(connected) && sent_away(fd);
}

static bool is_gone(int fd, int connected)
{
    close(fd);
    return tell(connected);
}

/* Bound as the guest's socket, and nobody listens on it yet. */
static bool is_guests_socket(int fd)
{
    struct sockaddr_un at = {0};
    socklen_t len = sizeof at;

    if (getsockname(fd, (struct sockaddr *)&at, &len) < 0)
        return false;
    const char *name = strrchr(at.sun_path, '/');
    return name && strcmp(name, "/" GUEST_SOCKET) == 0 && listen(fd, 1) == 0;
}

static bool is_welcomed(int fd, int connected)
{
    struct stream stream;
    cleanup_message struct message m = {.fds = {-1, -1, -1}};
    struct message_listen listen;
    const char *why;
    enum stream_result result;
    struct pollfd slot = {.fd = fd, .events = POLLIN};

    if (!tell(connected) || !hello(fd))
        return false;
    stream_open(&stream, fd, MESSAGE_FROM_HELPER);
    while ((result = stream_read(&stream, &m, &why)) == STREAM_AGAIN)
        if (poll(&slot, 1, SEND_MS) != 1)
            return false;
    if (result != STREAM_MESSAGE || m.type != MESSAGE_LISTEN || !is_guests_socket(m.fds[0]))
        return false;
    message_listen_read(&listen, (const unsigned char *)m.payload);
    return listen.linger == terms.linger && listen.grace == terms.grace &&
           listen.once == terms.once && listening(fd);
}

/* One after the other: it is in the queue when this returns. */
static pid_t comes(caller *is)
{
    char byte;
    int connected[2];

    assert_int_equal(pipe2(connected, O_CLOEXEC), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        int fd = call();
        _exit(fd >= 0 && is(fd, connected[1]) ? 0 : 1);
    }
    close(connected[1]);
    assert_int_equal(read(connected[0], &byte, 1), 1);
    close(connected[0]);
    return pid;
}

static void was_met(pid_t pid)
{
    int status;

    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

static void test_guest(void **state)
{
    const int open_before = count_open();
    struct door door;
    struct client client;
    cleanup_error struct error *err = NULL;

    (void)state;
    client_none(&client);
    assert_int_equal(door_open(&door, folder, &err), 0);
    pid_t guest = comes(is_welcomed);
    assert_int_equal(door_welcome(&door, guest, &terms, &client, &err), 0);
    was_met(guest);
    door_close(&door);
    assert_int_equal(count_open(), open_before);
}

/* Another process of the container connects first, as any of them can. */
static void test_somebody_else_first(void **state)
{
    static caller *const somebody[] = {is_silent, is_garbage, is_an_impostor, is_gone};

    (void)state;
    for (size_t i = 0; i < sizeof somebody / sizeof *somebody; i++) {
        const int open_before = count_open();
        struct door door;
        struct client client;
        cleanup_error struct error *err = NULL;
        client_none(&client);
        assert_int_equal(door_open(&door, folder, &err), 0);
        pid_t stranger = comes(somebody[i]), second = comes(somebody[i]);
        pid_t guest = comes(is_welcomed);
        int rc = door_welcome(&door, guest, &terms, &client, &err);
        /* The door is still open: it is not its closing that sends them away. */
        was_met(stranger);
        was_met(second);
        if (rc < 0)
            fail_msg("%s", error_text(err));
        was_met(guest);
        door_close(&door);
        assert_int_equal(count_open(), open_before);
    }
}

/* Nobody stands in for a guest that has ended. */
static void test_guest_ended(void **state)
{
    struct door door;
    struct client client;
    cleanup_error struct error *err = NULL;

    (void)state;
    skip_without_pidfds();
    client_none(&client);
    assert_int_equal(door_open(&door, folder, &err), 0);
    pid_t stranger = comes(is_an_impostor);
    pid_t guest = fork();
    assert_true(guest >= 0);
    if (guest == 0)
        _exit(0);
    assert_int_equal(door_welcome(&door, guest, &terms, &client, &err), -1);
    assert_non_null(strstr(error_text(err), "ended at once"));
    was_met(guest);
    error_clear(&err);
    /* Nor for one that is reaped, too. */
    assert_int_equal(door_welcome(&door, guest, &terms, &client, &err), -1);
    assert_non_null(strstr(error_text(err), "ended at once"));
    door_close(&door);
    was_met(stranger);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_guest),
        cmocka_unit_test(test_somebody_else_first),
        cmocka_unit_test(test_guest_ended),
    };

    return cmocka_run_group_tests(tests, make, drop);
}
