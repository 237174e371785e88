/* An sftp client that is refused reads why, over pipes of its own. */
#include "config.h"

#include "session/sftp_refusal.h"

#include "base/file.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static const unsigned char version[] = {0, 0, 0, 5, 2, 0, 0, 0, 3};

struct client {
    pid_t pid; /* the refusal's process */
    int to, from;
};

static struct client start(const char *reason)
{
    int in[2], out[2];

    assert_int_equal(pipe2(in, O_CLOEXEC), 0);
    assert_int_equal(pipe2(out, O_CLOEXEC), 0);
    struct client client = {fork(), in[1], out[0]};
    assert_true(client.pid >= 0);
    if (client.pid == 0) {
        close(in[1]);
        close(out[0]);
        sftp_refuse(in[0], out[1], reason);
        _exit(0);
    }
    close(in[0]);
    close(out[1]);
    return client;
}

/* Reads all that there is, and sees it end. */
static size_t end(struct client *client, unsigned char *bytes, size_t size)
{
    size_t len = 0;
    ssize_t n;
    int status;

    close(client->to);
    while (len < size && (n = read(client->from, bytes + len, size - len)) > 0)
        len += (size_t)n;
    close(client->from);
    assert_int_equal(waitpid(client->pid, &status, 0), client->pid);
    assert_int_equal(status, 0);
    return len;
}

static void say(const struct client *client, const void *bytes, size_t len)
{
    assert_int_equal(write(client->to, bytes, len), len);
}

static void test_reason(void **state)
{
    static const unsigned char init[] = {0, 0, 0, 5, 1, 0, 0, 0, 3};
    /* SSH_FXP_REALPATH, id 7, "." */
    static const unsigned char request[] = {0, 0, 0, 10, 16, 0, 0, 0, 7, 0, 0, 0, 1, '.'};
    static const unsigned char status[] = {0, 0, 0, 24,  101, 0,   0,   0,   7,   0,   0, 0, 4, 0,
                                           0, 0, 7, 'n', 'o', ' ', 's', 'f', 't', 'p', 0, 0, 0, 0};
    unsigned char seen[256];

    (void)state;
    struct client client = start("no sftp");
    /* In pieces, as a network may cut it. */
    for (size_t i = 0; i < sizeof init; i++)
        say(&client, init + i, 1);
    say(&client, request, sizeof request);
    assert_int_equal(end(&client, seen, sizeof seen), sizeof version + sizeof status);
    assert_memory_equal(seen, version, sizeof version);
    assert_memory_equal(seen + sizeof version, status, sizeof status);
}

static void test_client_that_goes(void **state)
{
    static const unsigned char huge[] = {0xff, 0xff, 0xff, 0xff, 1, 0, 0, 0, 3};
    static const unsigned char tiny[] = {0, 0, 0, 4, 1, 0, 0, 0, 3};
    unsigned char seen[256];

    (void)state;
    struct client client = start("no sftp");
    assert_int_equal(end(&client, seen, sizeof seen), sizeof version);
    client = start("no sftp");
    say(&client, huge, sizeof huge);
    assert_int_equal(end(&client, seen, sizeof seen), sizeof version);
    client = start("no sftp");
    say(&client, tiny, sizeof tiny);
    assert_int_equal(end(&client, seen, sizeof seen), sizeof version);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reason),
        cmocka_unit_test(test_client_that_goes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
