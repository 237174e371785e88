/* The helper's end of the direct channel, and guests that mean it harm. */
#include "config.h"

#include "base/file.h"
#include "channel/direct.h"
#include "channel/guest.h"
#include "channel/pty.h"
#include "protocol/start.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

enum { WAIT_MS = 300, SEND_MS = 5000 };

static char top[] = "/tmp/berth-direct-XXXXXX";
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

static int make_master(void)
{
    int master = posix_openpt(O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);

    return master >= 0 && unlockpt(master) == 0 ? master : -1;
}

/* --- guests: each runs in a process of its own, and says by its exit status whether
 * the helper did as it should */

typedef bool guest(int fd);

static bool say(int fd, enum message_type type, const void *payload, size_t len, int passed)
{
    return message_send(fd, type, payload, len, &passed, passed >= 0 ? 1 : 0, SEND_MS) == 0;
}

static bool hello(int fd)
{
    static const unsigned char versions[] = {MESSAGE_VERSION, MESSAGE_VERSION};

    return say(fd, MESSAGE_HELLO, versions, sizeof versions, -1);
}

/* START, with as many descriptors, which are the caller's then. */
static bool takes_start(int fd, struct message *m, unsigned nfds)
{
    struct stream stream;
    const char *why;
    enum stream_result result;

    if (!hello(fd))
        return false;
    stream_open(&stream, fd, MESSAGE_FROM_HELPER);
    while ((result = stream_read(&stream, m, &why)) == STREAM_AGAIN) {
        struct pollfd slot = {.fd = fd, .events = POLLIN};
        poll(&slot, 1, SEND_MS);
    }
    stream_clear(&stream);
    return result == STREAM_MESSAGE && m->type == MESSAGE_START && m->nfds == nfds;
}

static bool started_with(int fd, unsigned nfds)
{
    cleanup_message struct message m = {.fds = {-1, -1, -1}};

    return takes_start(fd, &m, nfds);
}

static bool give(int fd, const char *path)
{
    cleanup_fd int given = open(path, O_RDWR | O_NOCTTY | O_CLOEXEC);

    return started_with(fd, 0) && given >= 0 && say(fd, MESSAGE_STARTED, NULL, 0, given);
}

static bool gives_a_master(int fd)
{
    cleanup_fd int master = make_master();

    return started_with(fd, 0) && master >= 0 && say(fd, MESSAGE_STARTED, NULL, 0, master);
}

static bool gives_a_slave(int fd)
{
    cleanup_fd int master = make_master();
    cleanup_fd int slave = open(ptsname(master), O_RDWR | O_NOCTTY | O_CLOEXEC);

    return started_with(fd, 0) && slave >= 0 && say(fd, MESSAGE_STARTED, NULL, 0, slave);
}

static bool gives_a_device(int fd)
{
    return give(fd, "/dev/null");
}

static bool gives_a_terminal_device(int fd)
{
    /* /dev/ptmx without having been opened as one: O_PATH, which fstat(2) takes. */
    cleanup_fd int given = open("/dev/ptmx", O_PATH | O_CLOEXEC);

    return started_with(fd, 0) && given >= 0 && say(fd, MESSAGE_STARTED, NULL, 0, given);
}

static bool gives_its_socket(int fd)
{
    return started_with(fd, 0) && say(fd, MESSAGE_STARTED, NULL, 0, fd);
}

static bool gives_nothing(int fd)
{
    return started_with(fd, 0) && say(fd, MESSAGE_STARTED, NULL, 0, -1);
}

static bool starts(int fd)
{
    return started_with(fd, 3) && say(fd, MESSAGE_STARTED, NULL, 0, -1);
}

static bool gives_what_is_not_due(int fd)
{
    cleanup_fd int master = make_master();

    return started_with(fd, 3) && master >= 0 && say(fd, MESSAGE_STARTED, NULL, 0, master);
}

static bool exits_before_it_starts(int fd)
{
    return started_with(fd, 3) && say(fd, MESSAGE_EXIT, "\0\7", 2, -1);
}

static bool refuses(int fd)
{
    static const char words[] = "no \33[31mred\n";

    return started_with(fd, 3) && say(fd, MESSAGE_ERROR, words, sizeof words - 1, -1);
}

static bool goes(int fd)
{
    return started_with(fd, 3);
}

/* As a guest of that version says it, in the header's first byte too. */
static bool is_of_other_versions(int fd)
{
    return send(fd, "\3H\0\0\0\0\0\2\3\11", 10, MSG_NOSIGNAL) == 10;
}

static bool is_older(int fd)
{
    return send(fd, "\1H\0\0\0\0\0\2\1\1", 10, MSG_NOSIGNAL) == 10;
}

/* Nothing but HELLO is read of another version. */
static bool answers_in_another_version(int fd)
{
    return started_with(fd, 3) && send(fd, "\1T\0\0\0\0\0\0", 8, MSG_NOSIGNAL) == 8;
}

static bool is_garbage(int fd)
{
    return send(fd, "GET / HTTP/1.1\r\n", 16, MSG_NOSIGNAL) == 16;
}

/* Nothing is sent to who has said nothing: descriptors least of all. */
static bool nothing_came(int fd)
{
    struct pollfd slot = {.fd = fd, .events = POLLIN};
    char byte;

    return poll(&slot, 1, SEND_MS) == 1 && recv(fd, &byte, 1, MSG_DONTWAIT) == 0;
}

static bool is_silent(int fd)
{
    return nothing_came(fd);
}

static bool begins_a_word(int fd)
{
    return send(fd, "\2H\0", 3, MSG_NOSIGNAL) == 3 && nothing_came(fd);
}

static bool is_silent_after_hello(int fd)
{
    struct pollfd slot = {.fd = fd, .events = POLLRDHUP};

    return started_with(fd, 3) && poll(&slot, 1, SEND_MS) == 1;
}

/* The command runs, and its client has sent a signal, before the helper knows. */
static bool is_signalled_first(int fd)
{
    struct stream stream;
    struct message m = {.fds = {-1, -1, -1}};
    const char *why;
    enum stream_result result;
    const struct timespec moment = {.tv_nsec = 50000000};

    if (!started_with(fd, 3) || kill(getppid(), SIGUSR1) < 0)
        return false;
    nanosleep(&moment, NULL);
    if (!say(fd, MESSAGE_STARTED, NULL, 0, -1))
        return false;
    stream_open(&stream, fd, MESSAGE_FROM_HELPER);
    while ((result = stream_read(&stream, &m, &why)) == STREAM_AGAIN) {
        struct pollfd slot = {.fd = fd, .events = POLLIN};
        if (poll(&slot, 1, SEND_MS) != 1)
            return false;
    }
    bool right = result == STREAM_MESSAGE && m.type == MESSAGE_SIGNAL && m.payload[0] == SIGUSR1;
    message_clear(&m);
    stream_clear(&stream);
    return right && say(fd, MESSAGE_EXIT, "\0\11", 2, -1);
}

/* The client's end of what it reads from. */
static int reader = -1;

/* The command runs, and its client has read from it and gone, before the helper knows. */
static bool is_left_first(int fd)
{
    const struct timespec moment = {.tv_nsec = 50000000};

    if (!started_with(fd, 3))
        return false;
    close_fd(&reader);
    nanosleep(&moment, NULL);
    return say(fd, MESSAGE_STARTED, NULL, 0, -1) && nothing_came(fd);
}

static bool is_left_and_silent(int fd)
{
    if (!started_with(fd, 3))
        return false;
    close_fd(&reader);
    return nothing_came(fd);
}

/* START, whose descriptors it keeps as a command would, and STARTED. */
static bool keeps_the_pipes(int fd, struct message *m)
{
    return takes_start(fd, m, 3) && say(fd, MESSAGE_STARTED, NULL, 0, -1);
}

static bool is_killed(int fd)
{
    cleanup_message struct message m = {.fds = {-1, -1, -1}};

    return keeps_the_pipes(fd, &m) && shutdown(fd, SHUT_WR) == 0 && nothing_came(fd);
}

static bool is_stopped(int fd)
{
    static const char words[] = "it is stopped";
    cleanup_message struct message m = {.fds = {-1, -1, -1}};

    return keeps_the_pipes(fd, &m) && say(fd, MESSAGE_ERROR, words, sizeof words - 1, -1) &&
           nothing_came(fd);
}

static bool goes_on(int fd)
{
    cleanup_message struct message m = {.fds = {-1, -1, -1}};

    return keeps_the_pipes(fd, &m) && nothing_came(fd);
}

static bool is_signalled_and_silent(int fd)
{
    struct pollfd slot = {.fd = fd, .events = POLLRDHUP};

    return started_with(fd, 3) && kill(getppid(), SIGUSR1) == 0 && poll(&slot, 1, SEND_MS) == 1;
}

/* Listens, tells so, and serves one. */
static _Noreturn void run_guest(guest *run, int ready)
{
    struct sockaddr_un at;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    guest_address(&at, folder, GUEST_SOCKET);
    if (bind(fd, (struct sockaddr *)&at, sizeof at) < 0 || listen(fd, 4) < 0 ||
        write(ready, "r", 1) != 1)
        _exit(2);
    int connection = accept4(fd, NULL, NULL, SOCK_CLOEXEC);
    _exit(connection >= 0 && run(connection) ? 0 : 1);
}

static pid_t start_guest(guest *run)
{
    char byte;
    int ready[2];

    assert_int_equal(pipe2(ready, O_CLOEXEC), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0)
        run_guest(run, ready[1]);
    close(ready[1]);
    assert_int_equal(read(ready[0], &byte, 1), 1);
    close(ready[0]);
    return pid;
}

static void end_guest(pid_t pid)
{
    int status;

    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    unlinkat(folder, GUEST_SOCKET, 0);
}

static void make_payload(struct text *payload, bool tty)
{
    static char none[] = "";
    const struct start start = {
        .kind = START_LOGIN, .tty = tty, .shell = none, .cwd = none, .missing = none};
    const char *why;

    assert_int_equal(start_write(payload, &start, &why), 0);
}

/* A session with this guest: NULL for "it starts", else what its error says. */
static void session(guest *run, bool tty, enum error_kind kind, const char *says)
{
    const int open_before = count_open();
    struct direct direct;
    struct client client;
    cleanup_error struct error *err = NULL;
    cleanup_text struct text payload = {0};
    pid_t pid = start_guest(run);

    make_payload(&payload, tty);
    client_none(&client);
    client.tty = tty;
    /* Spliced, for the pipes are not this program's own then. */
    direct_init(&direct, true);
    int rc = direct_start(&direct, folder, pid, &payload, WAIT_MS, &client, &err);
    if (!says && rc < 0)
        fail_msg("%s", error_text(err));
    if (says && rc == 0)
        fail_msg("started, in place of: %s", says);
    if (says && !strstr(error_text(err), says))
        fail_msg("said \"%s\", in place of: %s", error_text(err), says);
    if (says)
        assert_int_equal(error_kind(err), kind);
    if (!says)
        assert_int_equal(direct.master >= 0, tty);
    direct_close(&direct);
    end_guest(pid);
    assert_int_equal(count_open(), open_before);
}

static void test_starts(void **state)
{
    (void)state;
    session(gives_a_master, true, 0, NULL);
    session(starts, false, 0, NULL);
}

static void test_wrong_descriptors(void **state)
{
    static guest *const wrong[] = {gives_a_slave, gives_a_device, gives_a_terminal_device,
                                   gives_its_socket, gives_nothing};

    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        session(wrong[i], true, ERROR_OTHER, "sent what is no terminal");
    session(gives_what_is_not_due, false, ERROR_OTHER, "sent what is no terminal");
}

static void test_wrong_words(void **state)
{
    (void)state;
    session(exits_before_it_starts, false, ERROR_OTHER, "not due");
    session(is_garbage, false, ERROR_OTHER, "no message");
    session(is_of_other_versions, false, ERROR_OTHER, "speaks versions 3 to 9");
    session(is_older, false, ERROR_OTHER, "speaks versions 1 to 1");
    session(answers_in_another_version, false, ERROR_OTHER, "another version of the protocol");
    session(refuses, false, ERROR_REFUSED, "no \\x1b[31mred\\x0a");
    session(goes, false, ERROR_LOST, "is gone");
}

static void test_silence(void **state)
{
    (void)state;
    session(is_silent, false, ERROR_SLOW, "has not answered");
    session(begins_a_word, false, ERROR_SLOW, "has not answered");
    session(is_silent_after_hello, false, ERROR_SLOW, "has not answered");
}

/* client_open, with three of the session's own for this program's, which are in `kept`. */
static void open_signals(struct client *client, int kept[3])
{
    cleanup_fd int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    sigset_t set;

    assert_true(null >= 0);
    fflush(stdout);
    for (int fd = 0; fd < 3; fd++) {
        kept[fd] = fcntl(fd, F_DUPFD_CLOEXEC, 3);
        assert_int_equal(dup2(null, fd), fd);
    }
    client_none(client);
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    assert_int_equal(sigprocmask(SIG_BLOCK, &set, &client->mask), 0);
    client->signals = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    assert_true(client->signals >= 0);
    client->fds[0] = (struct pollfd){.fd = client->signals, .events = POLLIN};
}

static void close_signals(struct client *client, int kept[3])
{
    sigprocmask(SIG_SETMASK, &client->mask, NULL);
    close_fd(&client->signals);
    for (int fd = 0; fd < 3; fd++) {
        assert_int_equal(dup2(kept[fd], fd), fd);
        close_fd(&kept[fd]);
    }
}

static void test_a_signal_while_it_starts(void **state)
{
    struct direct direct;
    struct client client;
    struct relay_result result;
    cleanup_error struct error *err = NULL;
    cleanup_text struct text payload = {0};
    int kept[3];
    pid_t pid = start_guest(is_signalled_first);

    (void)state;
    make_payload(&payload, false);
    open_signals(&client, kept);
    direct_init(&direct, true);
    assert_int_equal(direct_start(&direct, folder, pid, &payload, SEND_MS, &client, &err), 0);
    assert_int_equal(direct_run(&direct, &client, &result, &err), 0);
    assert_int_equal(result.end, RELAY_EXIT);
    assert_int_equal(result.status, 9);
    direct_close(&direct);
    end_guest(pid);

    pid = start_guest(is_signalled_and_silent);
    direct_init(&direct, true);
    assert_int_equal(direct_start(&direct, folder, pid, &payload, 60000, &client, &err), -1);
    assert_int_equal(error_kind(err), ERROR_ABANDONED);
    assert_int_equal(client_take_signal(&client), SIGUSR1);
    direct_close(&direct);
    end_guest(pid);
    close_signals(&client, kept);
}

/* Whether a session was begun with a guest whose client goes meanwhile. */
static int start_left(guest *run)
{
    struct direct direct;
    struct client client;
    cleanup_error struct error *err = NULL;
    cleanup_text struct text payload = {0};
    int kept[3], ends[2];

    make_payload(&payload, false);
    open_signals(&client, kept);
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    reader = ends[0];
    pid_t pid = start_guest(run);
    close_fd(&reader);
    for (int fd = 1; fd < 3; fd++) {
        assert_int_equal(dup2(ends[1], fd), fd);
        client.fds[1 + fd] = (struct pollfd){.fd = fd};
    }
    close_fd(&ends[1]);
    direct_init(&direct, true);
    int rc = direct_start(&direct, folder, pid, &payload, 60000, &client, &err);
    direct_close(&direct);
    close_signals(&client, kept);
    end_guest(pid);
    assert_true(client.gone);
    if (rc < 0)
        assert_int_equal(error_kind(err), ERROR_ABANDONED);
    return rc;
}

static void test_a_client_that_goes_while_it_starts(void **state)
{
    (void)state;
    assert_int_equal(start_left(is_left_first), 0);
    assert_int_equal(start_left(is_left_and_silent), -1);
}

/* A session whose stderr was handed over, and whether it is this program's again when it
 * has ended in this way. */
static bool comes_back(guest *run, bool gone, bool killed, int rc)
{
    struct direct direct;
    struct client client;
    struct relay_result result;
    cleanup_error struct error *err = NULL;
    cleanup_text struct text payload = {0};
    int kept[3], ends[2];
    char byte = 0;

    make_payload(&payload, false);
    open_signals(&client, kept);
    assert_int_equal(pipe2(ends, O_CLOEXEC | O_NONBLOCK), 0);
    pid_t pid = start_guest(run);
    assert_int_equal(dup2(ends[1], 2), 2);
    close_fd(&ends[1]);
    direct_init(&direct, false);
    int started = direct_start(&direct, folder, pid, &payload, SEND_MS, &client, &err);
    client.gone = gone;
    client.killed = killed;
    int ran = started == 0 ? direct_run(&direct, &client, &result, &err) : -2;
    ssize_t written = write(2, "w", 1);
    bool came = read(ends[0], &byte, 1) == 1 && byte == 'w';
    direct_close(&direct);
    close_signals(&client, kept);
    close_fd(&ends[0]);
    end_guest(pid);
    assert_int_equal(ran, rc);
    assert_int_equal(written, 1);
    return came;
}

static void test_stderr_comes_back(void **state)
{
    const int open_before = count_open();

    (void)state;
    assert_true(comes_back(is_killed, false, false, -1));
    assert_true(comes_back(is_stopped, false, false, -1));
    assert_true(comes_back(goes_on, true, true, 0));
    assert_false(comes_back(goes_on, true, false, 0));
    assert_int_equal(count_open(), open_before);
}

/* Not even a word is heard of who isn't process 1. */
static void test_another_process_listens(void **state)
{
    struct direct direct;
    struct client client;
    cleanup_error struct error *err = NULL;
    cleanup_text struct text payload = {0};
    pid_t pid = start_guest(is_silent);

    (void)state;
    make_payload(&payload, false);
    client_none(&client);
    direct_init(&direct, true);
    assert_int_equal(direct_start(&direct, folder, getpid(), &payload, WAIT_MS, &client, &err), -1);
    assert_non_null(strstr(error_text(err), "is not its guest"));
    direct_close(&direct);
    end_guest(pid);
}

static void test_nobody_listens(void **state)
{
    struct direct direct;
    struct client client;
    cleanup_error struct error *err = NULL;
    cleanup_text struct text payload = {0};

    (void)state;
    make_payload(&payload, false);
    client_none(&client);
    direct_init(&direct, true);
    assert_int_equal(direct_start(&direct, folder, getpid(), &payload, WAIT_MS, &client, &err), -1);
    assert_int_equal(error_kind(err), ERROR_LOST);
    direct_close(&direct);
}

/* --- a terminal whose master somebody else has too */

struct shared {
    int master, slave;
    int client[2]; /* [0] is the helper's 0, 1 and 2 */
    int control[2];
};

static void shared_open(struct shared *s)
{
    s->master = make_master();
    s->slave = open(ptsname(s->master), O_RDWR | O_NOCTTY | O_CLOEXEC);
    assert_true(s->master >= 0 && s->slave >= 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, s->client), 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, s->control), 0);
}

static void shared_close(struct shared *s)
{
    close_fd(&s->master);
    close_fd(&s->slave);
    for (int i = 0; i < 2; i++) {
        close_fd(&s->client[i]);
        close_fd(&s->control[i]);
    }
}

static pid_t start_relay(const struct shared *s)
{
    pid_t pid = fork();

    assert_true(pid >= 0);
    if (pid > 0)
        return pid;
    struct direct direct;
    struct client client;
    struct relay_result result = {0};
    struct error *err = NULL;
    bool ended = false;

    for (int fd = 0; fd < 3; fd++)
        dup2(s->client[0], fd);
    close(s->client[1]);
    close(s->control[1]);
    direct_init(&direct, false);
    direct.control = s->control[0];
    direct.master = s->master;
    stream_open(&direct.stream, direct.control, MESSAGE_FROM_GUEST);
    client_none(&client);
    client.tty = true;
    int rc = pty_run(&direct, &client, &result, &ended, &err);
    _exit(rc == 0 && ended && result.status == 7 ? 0 : 1);
}

static pid_t start_clearing(const struct shared *s)
{
    pid_t pid = fork();

    assert_true(pid >= 0);
    while (pid == 0) {
        fd_set_nonblock(s->master, false);
        usleep(500);
    }
    return pid;
}

static bool ends_within(pid_t pid, int ms, int *status)
{
    long long end = now_ms() + ms;
    pid_t got;

    while ((got = waitpid(pid, status, WNOHANG)) == 0 && now_ms() < end)
        usleep(10000);
    return got == pid;
}

/* The last read, of a terminal that has no more, blocks then; and what holds the
 * terminal open never ends it. */
static void test_cleared_nonblock(void **state)
{
    struct shared s;
    char seen[8] = "";
    int status = 0;

    (void)state;
    shared_open(&s);
    pid_t relay = start_relay(&s), clearing = start_clearing(&s);
    /* From here on it believes that its O_NONBLOCK is there, for a second. */
    assert_int_equal(write(s.slave, "up", 2), 2);
    assert_int_equal(recv(s.client[1], seen, 2, MSG_WAITALL), 2);
    assert_memory_equal(seen, "up", 2);
    usleep(20000);
    assert_int_equal(message_send(s.control[1], MESSAGE_EXIT, "\0\7", 2, NULL, 0, SEND_MS), 0);
    bool ended = ends_within(relay, 6000, &status);
    kill(clearing, SIGKILL);
    kill(relay, SIGKILL);
    waitpid(clearing, NULL, 0);
    if (!ended)
        waitpid(relay, NULL, 0);
    shared_close(&s);
    assert_true(ended);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_starts),
        cmocka_unit_test(test_wrong_descriptors),
        cmocka_unit_test(test_wrong_words),
        cmocka_unit_test(test_silence),
        cmocka_unit_test(test_a_signal_while_it_starts),
        cmocka_unit_test(test_a_client_that_goes_while_it_starts),
        cmocka_unit_test(test_stderr_comes_back),
        cmocka_unit_test(test_another_process_listens),
        cmocka_unit_test(test_nobody_listens),
        cmocka_unit_test(test_cleared_nonblock),
    };

    return cmocka_run_group_tests(tests, make, drop);
}
