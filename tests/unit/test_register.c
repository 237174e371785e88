#include "config.h"

#include "session/register.h"

#include "base/file.h"
#include "base/process.h"
#include "base/runtime.h"
#include "policy/connection.h"
#include "session/slots.h"

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
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "pidfds.h"

static char top[] = "/tmp/berth-register-XXXXXX";
static char own[64], file[80], holds_file[80], connections[80];

static int make(void **state)
{
    (void)state;
    if (!mkdtemp(top) || chmod(top, 01777) < 0)
        return -1;
    snprintf(own, sizeof own, "%s/%u", top, (unsigned)getuid());
    snprintf(file, sizeof file, "%s/sessions", own);
    snprintf(holds_file, sizeof holds_file, "%s/holds", own);
    snprintf(connections, sizeof connections, "%s/" CONNECTION_FOLDER, top);
    return 0;
}

static int drop(void **state)
{
    (void)state;
    unlink(file);
    unlink(holds_file);
    rmdir(connections);
    rmdir(own);
    return rmdir(top);
}

/* A user's directory, without a register. */
static int user_dir(void)
{
    struct error *err = NULL;

    if (getuid() != 0)
        skip(); /* a runtime directory must be root's */
    unlink(file);
    int dir = runtime_open_user(top, getuid(), true, &err);
    assert_true(dir >= 0);
    return dir;
}

/* A process that is in, as berth-session is; `entry` NULL writes nothing. */
struct other {
    pid_t pid;
    int wake;
};

static struct other other_joins(int dir, long long most, const struct session_entry *entry)
{
    int up[2], down[2];
    char said = '-';

    assert_int_equal(pipe(up) | pipe(down), 0);
    pid_t pid = fork();
    if (pid == 0) {
        struct registration place;
        struct error *err = NULL;
        unsigned held;
        close(down[1]);
        bool holds = entry && entry->kind == REQUEST_FORWARD;
        said = (char)('0' + (holds ? register_join_hold(&place, dir, most, &held, &err)
                                   : register_join(&place, dir, most, &held, &err)));
        if (said == '1' && entry && register_write(&place, entry, &err) < 0)
            said = 'w';
        (void)!write(up[1], &said, 1);
        (void)!read(down[0], &said, 1);
        _exit(0);
    }
    close(up[1]);
    close(down[0]);
    assert_int_equal(read(up[0], &said, 1), 1);
    close(up[0]);
    assert_int_equal(said, '1');
    return (struct other){pid, down[1]};
}

static void other_dies(struct other *other)
{
    kill(other->pid, SIGKILL);
    waitpid(other->pid, NULL, 0);
    close(other->wake);
}

struct seen {
    unsigned count, failures;
    struct registered last;
};

static void on_session(void *data, const struct registered *registered)
{
    struct seen *seen = data;

    seen->count++;
    seen->last = *registered;
}

static void on_failure(void *data, const char *what)
{
    struct seen *seen = data;

    (void)what;
    seen->failures++;
}

static struct seen look(void)
{
    struct seen seen = {0};
    const struct register_reader reader = {on_session, on_failure, &seen};

    register_read(top, getuid(), &reader);
    return seen;
}

static const struct session_entry example = {.session = "9f8e7d6c5b4a3921",
                                             .user = "alice",
                                             .since = 1700000000123,
                                             .kind = REQUEST_EXEC,
                                             .tty = true,
                                             .scope = SCOPE_USER,
                                             .direct = true,
                                             .running = true,
                                             .client = "2001:db8::7%eth0",
                                             .port = "50022",
                                             .container = "berth-3d1219c7-2001-user"};

static void test_what_one_writes_another_reads(void **state)
{
    cleanup_fd int dir = user_dir();
    struct other other = other_joins(dir, 0, &example);
    struct seen seen = look();

    (void)state;
    assert_int_equal(seen.count, 1);
    assert_int_equal(seen.failures, 0);
    assert_int_equal(seen.last.pid, other.pid);
    assert_int_equal(seen.last.uid, getuid());
    assert_true(seen.last.known);
    assert_memory_equal(&seen.last.entry, &example, sizeof example);
    other_dies(&other);
    assert_int_equal(look().count, 0);
}

static void test_a_killed_one_frees_its_slot(void **state)
{
    cleanup_fd int dir = user_dir();
    struct other others[3];
    struct registration place;
    struct error *err = NULL;
    unsigned held;

    (void)state;
    for (int i = 0; i < 3; i++)
        others[i] = other_joins(dir, 3, &example);
    assert_int_equal(register_join(&place, dir, 3, &held, &err), 0);
    assert_int_equal(held, 3);
    assert_int_equal(place.fd, -1);
    other_dies(&others[1]);
    assert_int_equal(register_join(&place, dir, 3, &held, &err), 1);
    assert_int_equal(held, 2);
    assert_int_equal(place.slot, 1);
    /* Not a child's to keep. */
    pid_t child = fork();
    if (child == 0) {
        pause();
        _exit(0);
    }
    register_leave(&place);
    assert_int_equal(look().count, 2);
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    other_dies(&others[0]);
    other_dies(&others[2]);
    assert_int_equal(look().count, 0);
}

/* Those that came in while more were allowed count. */
static void test_a_limit_that_was_lowered(void **state)
{
    cleanup_fd int dir = user_dir();
    struct other others[4];
    struct registration place;
    struct error *err = NULL;
    unsigned held;

    (void)state;
    for (int i = 0; i < 4; i++)
        others[i] = other_joins(dir, 0, NULL);
    other_dies(&others[0]);
    assert_int_equal(register_join(&place, dir, 3, &held, &err), 0);
    assert_int_equal(register_join(&place, dir, 4, &held, &err), 1);
    assert_int_equal(place.slot, 0);
    register_leave(&place);
    for (int i = 1; i < 4; i++)
        other_dies(&others[i]);
}

static void put(const void *bytes, size_t len)
{
    int fd = open(file, O_RDWR | O_CREAT, 0600);

    assert_true(fd >= 0);
    assert_int_equal(ftruncate(fd, 0), 0);
    assert_int_equal(pwrite(fd, bytes, len, 0), (ssize_t)len);
    close(fd);
}

static void test_garbage_is_somebody_unknown(void **state)
{
    cleanup_fd int dir = user_dir();
    unsigned char bytes[700];
    struct seen seen;

    (void)state;
    /* Nobody holds a lock: whatever stands there is nobody. */
    memset(bytes, 'x', sizeof bytes);
    put(bytes, sizeof bytes);
    assert_int_equal(look().count, 0);
    struct other other = other_joins(dir, 0, NULL);
    seen = look();
    assert_int_equal(seen.count, 1);
    assert_false(seen.last.known);
    assert_int_equal(seen.last.pid, other.pid);
    /* Too short. */
    put("berth-r1", 8);
    seen = look();
    assert_true(seen.count == 1 && !seen.last.known);
    other_dies(&other);
}

/* What root reads is the user's to write: no field runs on into the next. */
static void test_hostile_records(void **state)
{
    cleanup_fd int dir = user_dir();
    struct other other = other_joins(dir, 0, &example);
    unsigned char bytes[512];
    struct seen seen;
    int fd = open(file, O_RDWR);

    (void)state;
    assert_int_equal(pread(fd, bytes, sizeof bytes, 0), sizeof bytes);
    memset(bytes + 32, 'A', sizeof bytes - 32);
    put(bytes, sizeof bytes);
    seen = look();
    assert_true(seen.last.known);
    assert_int_equal(strlen(seen.last.entry.session), sizeof seen.last.entry.session - 1);
    assert_int_equal(strlen(seen.last.entry.user), sizeof seen.last.entry.user - 1);
    assert_int_equal(strlen(seen.last.entry.client), sizeof seen.last.entry.client - 1);
    assert_int_equal(strlen(seen.last.entry.port), sizeof seen.last.entry.port - 1);
    assert_int_equal(strlen(seen.last.entry.container), sizeof seen.last.entry.container - 1);
    /* An enum that isn't one; a record of who had the slot before; of another version. */
    bytes[12] = 3;
    put(bytes, sizeof bytes);
    assert_false(look().last.known);
    bytes[12] = 0;
    bytes[8] ^= 1;
    put(bytes, sizeof bytes);
    assert_false(look().last.known);
    bytes[8] ^= 1;
    bytes[7] = '2';
    put(bytes, sizeof bytes);
    assert_false(look().last.known);
    close(fd);
    other_dies(&other);
}

static void test_files_that_are_no_register(void **state)
{
    cleanup_fd int dir = user_dir();
    struct registration place;
    struct error *err = NULL;
    unsigned held;

    (void)state;
    assert_int_equal(mkfifo(file, 0600), 0);
    assert_int_equal(look().failures, 1);
    assert_int_equal(register_join(&place, dir, 0, &held, &err), -1);
    error_clear(&err);
    unlink(file);
    assert_int_equal(symlink("/etc/passwd", file), 0);
    assert_int_equal(look().failures, 1);
    assert_int_equal(register_join(&place, dir, 0, &held, &err), -1);
    error_clear(&err);
    unlink(file);
    put("", 0);
    assert_int_equal(chown(file, 12345, 12345), 0);
    assert_int_equal(look().failures, 1);
    unlink(file);
    assert_int_equal(look().failures, 0);
}

/* One lock over all of it, over a part of a slot, over the end: counted, and no more
 * slots than there are. */
static void test_locks_of_a_strangers_making(void **state)
{
    static const struct flock strange[] = {
        {.l_type = F_WRLCK, .l_start = 0, .l_len = 0},
        {.l_type = F_RDLCK, .l_start = 700, .l_len = 1},
        {.l_type = F_WRLCK, .l_start = 511, .l_len = 2},
        {.l_type = F_WRLCK, .l_start = 512L * REGISTER_SLOTS - 1, .l_len = 1000},
        {.l_type = F_WRLCK, .l_start = 512L * REGISTER_SLOTS, .l_len = 1000},
    };
    static const unsigned held[] = {1, 1, 1, 1, 0};
    static const unsigned lowest[] = {REGISTER_SLOTS, 0, 2, 0, 0};
    cleanup_fd int dir = user_dir();

    (void)state;
    put("", 0);
    for (size_t i = 0; i < sizeof strange / sizeof *strange; i++) {
        int up[2];
        char byte;
        assert_int_equal(pipe(up), 0);
        pid_t pid = fork();
        if (pid == 0) {
            struct flock lock = strange[i];
            int fd = open(file, O_RDWR);
            byte = fcntl(fd, F_SETLK, &lock) == 0 ? 'l' : 'x';
            (void)!write(up[1], &byte, 1);
            pause();
            _exit(0);
        }
        assert_int_equal(read(up[0], &byte, 1), 1);
        assert_int_equal(byte, 'l');
        assert_int_equal(look().count, held[i]);
        struct registration place;
        struct error *err = NULL;
        unsigned others;
        int got = register_join(&place, dir, 0, &others, &err);
        assert_int_equal(got, lowest[i] < REGISTER_SLOTS);
        if (got)
            assert_int_equal(place.slot, lowest[i]);
        error_clear(&err);
        register_leave(&place);
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
        close(up[0]);
        close(up[1]);
    }
}

/* All slots taken is a limit too. */
static void test_more_than_there_are(void **state)
{
    cleanup_fd int dir = user_dir();
    int first = open(file, O_RDWR | O_CREAT, 0600);
    const struct slots slots = {.fd = first, .size = 1, .count = 3};
    struct other others[3];
    struct error *err = NULL;
    unsigned slot, held;

    (void)state;
    for (int i = 0; i < 3; i++) {
        int up[2];
        char byte;
        assert_int_equal(pipe(up), 0);
        others[i].pid = fork();
        if (others[i].pid == 0) {
            const struct slots same = {.fd = open(file, O_RDWR), .size = 1, .count = 3};
            byte = (char)('0' + slots_take(&same, 0, &slot, &held, &err));
            (void)!write(up[1], &byte, 1);
            pause();
            _exit(0);
        }
        others[i].wake = up[1];
        assert_int_equal(read(up[0], &byte, 1), 1);
        assert_int_equal(byte, '1');
        close(up[0]);
        assert_int_equal(slots_holder(&slots, (unsigned)i), others[i].pid);
    }
    assert_int_equal(slots_take(&slots, 0, &slot, &held, &err), 0);
    assert_int_equal(held, 3);
    other_dies(&others[2]);
    assert_int_equal(slots_holder(&slots, 2), 0);
    assert_int_equal(slots_take(&slots, 0, &slot, &held, &err), 1);
    assert_int_equal(slot, 2);
    other_dies(&others[0]);
    other_dies(&others[1]);
    close(first);
    (void)dir;
}

/* Twenty at once, five places: five are in, whoever they are. */
static void test_a_race(void **state)
{
    enum { RACERS = 20, PLACES = 5 };
    cleanup_fd int dir = user_dir();
    pid_t pids[RACERS];
    int go[2], said[2], hold[2];
    unsigned in = 0;

    (void)state;
    assert_int_equal(pipe(go) | pipe(said) | pipe(hold), 0);
    for (int i = 0; i < RACERS; i++) {
        pids[i] = fork();
        if (pids[i] == 0) {
            struct registration place;
            struct error *err = NULL;
            unsigned held;
            char byte;
            close(go[1]);
            close(hold[1]);
            (void)!read(go[0], &byte, 1);
            byte = (char)('1' + register_join(&place, dir, PLACES, &held, &err));
            (void)!write(said[1], &byte, 1);
            (void)!read(hold[0], &byte, 1);
            _exit(0);
        }
    }
    close(go[1]);
    for (int i = 0; i < RACERS; i++) {
        char byte;
        assert_int_equal(read(said[0], &byte, 1), 1);
        assert_true(byte == '1' || byte == '2');
        in += byte == '2';
    }
    assert_int_equal(in, PLACES);
    close(hold[1]);
    for (int i = 0; i < RACERS; i++)
        waitpid(pids[i], NULL, 0);
}

static void test_the_helper_behind_a_slot(void **state)
{
    skip_without_pidfds();
    cleanup_fd int dir = user_dir();
    struct other other = other_joins(dir, 0, &example);
    struct seen seen = look();
    struct error *err = NULL;

    (void)state;
    seen.last.fd = open(file, O_RDONLY);
    int pidfd = register_open_helper(&seen.last, &err);
    assert_true(pidfd >= 0);
    close(pidfd);
    /* A user's lock can't make another's process his session. */
    seen.last.uid = 12345;
    assert_int_equal(register_open_helper(&seen.last, &err), -1);
    assert_non_null(strstr(error_text(err), "isn't uid 12345's"));
    error_clear(&err);
    seen.last.uid = getuid();
    /* Nor does a pid that doesn't hold it count. */
    seen.last.pid = getpid();
    assert_int_equal(register_open_helper(&seen.last, &err), -1);
    error_clear(&err);
    seen.last.pid = 0;
    assert_int_equal(register_open_helper(&seen.last, &err), -1);
    error_clear(&err);
    other_dies(&other);
    seen.last.pid = other.pid;
    assert_int_equal(register_open_helper(&seen.last, &err), -1);
    assert_int_equal(error_kind(err), ERROR_NOT_FOUND);
    error_clear(&err);
    close(seen.last.fd);
}

static void refused(const struct registered *registered, const char *says)
{
    struct error *err = NULL;

    assert_int_equal(register_open_helper(registered, &err), -1);
    if (!strstr(error_text(err), says))
        fail_msg("%s", error_text(err));
    error_clear(&err);
}

/* Its end is sshd's, and only root says which one that is. */
static void test_a_connection_that_may_forward(void **state)
{
    skip_without_pidfds();
    cleanup_fd int dir = user_dir();
    struct session_entry entry = example;
    struct error *err = NULL;
    struct connection c = {.id = "9f8e7d6c5b4a3921",
                           .name = "alice",
                           .uid = getuid(),
                           .peer = "192.0.2.7 50022 192.0.2.1 22"};

    (void)state;
    entry.kind = REQUEST_FORWARD;
    struct other session = other_joins(dir, 1, &example);
    struct other other = other_joins(dir, 1, &entry);
    struct seen seen = look();
    assert_int_equal(seen.count, 2);
    assert_true(seen.last.known && seen.last.holds);
    assert_int_equal(seen.last.entry.kind, REQUEST_FORWARD);
    seen.last.fd = open(holds_file, O_RDONLY);
    refused(&seen.last, "doesn't tell whose connection");

    pid_t sshd = fork();
    if (sshd == 0) {
        pause();
        _exit(0);
    }
    c.sshd = sshd;
    c.started = process_started(sshd);
    cleanup_fd int folder = connection_folder(top, &err);
    assert_int_equal(connection_publish(folder, &c, &err), 0);
    int fd = register_open_helper(&seen.last, &err);
    assert_true(fd >= 0);
    assert_int_equal(process_signal(fd, SIGTERM), 0);
    assert_int_equal(waitpid(sshd, NULL, 0), sshd);
    close(fd);
    refused(&seen.last, "doesn't tell whose connection");

    /* Another one's. */
    c.uid++;
    c.sshd = getpid();
    c.started = process_started(getpid());
    assert_int_equal(connection_publish(folder, &c, &err), 0);
    refused(&seen.last, "doesn't tell whose connection");
    connection_withdraw(folder, &c);
    close(seen.last.fd);
    other_dies(&other);
    other_dies(&session);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_one_writes_another_reads),
        cmocka_unit_test(test_a_killed_one_frees_its_slot),
        cmocka_unit_test(test_a_limit_that_was_lowered),
        cmocka_unit_test(test_garbage_is_somebody_unknown),
        cmocka_unit_test(test_hostile_records),
        cmocka_unit_test(test_files_that_are_no_register),
        cmocka_unit_test(test_locks_of_a_strangers_making),
        cmocka_unit_test(test_more_than_there_are),
        cmocka_unit_test(test_a_race),
        cmocka_unit_test(test_the_helper_behind_a_slot),
        cmocka_unit_test(test_a_connection_that_may_forward),
    };

    return cmocka_run_group_tests(tests, make, drop);
}
