#include "config.h"

#include "protocol/message.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static const char *read_bytes(enum message_side from, const char bytes[8])
{
    struct message_header header;

    return message_header_read(&header, from, (const unsigned char *)bytes);
}

/* Every type, from whom it may come, with the most that it may have. */
static void test_round_trip(void **state)
{
    static const struct {
        struct message_header header;
        enum message_side from;
    } good[] = {
        {{MESSAGE_HELLO, 0, 2}, MESSAGE_FROM_GUEST},
        {{MESSAGE_LISTEN, 1, 9}, MESSAGE_FROM_HELPER},
        {{MESSAGE_LISTENING, 0, 0}, MESSAGE_FROM_GUEST},
        {{MESSAGE_START, 3, 1}, MESSAGE_FROM_HELPER},
        {{MESSAGE_START, 0, MESSAGE_PAYLOAD_MAX}, MESSAGE_FROM_HELPER},
        {{MESSAGE_STARTED, 0, 0}, MESSAGE_FROM_GUEST},
        {{MESSAGE_STARTED, 1, 0}, MESSAGE_FROM_GUEST},
        {{MESSAGE_SIGNAL, 0, 1}, MESSAGE_FROM_HELPER},
        {{MESSAGE_EXIT, 0, 2}, MESSAGE_FROM_GUEST},
        {{MESSAGE_ERROR, 0, MESSAGE_ERROR_MAX}, MESSAGE_FROM_GUEST},
    };

    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        unsigned char bytes[MESSAGE_HEADER_SIZE];
        struct message_header header;
        enum message_side other = good[i].from == MESSAGE_FROM_GUEST ? MESSAGE_FROM_HELPER
                                                                     : MESSAGE_FROM_GUEST;

        message_header_write(bytes, &good[i].header);
        assert_null(message_header_read(&header, good[i].from, bytes));
        assert_int_equal(header.type, good[i].header.type);
        assert_int_equal(header.fds, good[i].header.fds);
        assert_int_equal(header.length, good[i].header.length);
        assert_non_null(message_header_read(&header, other, bytes));
    }
}

static void test_layout(void **state)
{
    unsigned char bytes[MESSAGE_HEADER_SIZE];

    (void)state;
    message_header_write(bytes, &(struct message_header){MESSAGE_START, 3, 0x00012345});
    assert_memory_equal(bytes, "\2S\3\0\0\1\x23\x45", sizeof bytes);
}

static void test_bad_header(void **state)
{
    (void)state;
    assert_null(read_bytes(MESSAGE_FROM_GUEST, "\2X\0\0\0\0\0\2"));
    assert_non_null(read_bytes(MESSAGE_FROM_GUEST, "\0X\0\0\0\0\0\2")); /* version */
    assert_non_null(read_bytes(MESSAGE_FROM_GUEST, "\1X\0\0\0\0\0\2"));
    assert_null(read_bytes(MESSAGE_FROM_GUEST, "\1H\0\0\0\0\0\2")); /* of HELLO any */
    assert_non_null(read_bytes(MESSAGE_FROM_GUEST, "\1H\0\0\0\0\0\3"));
    assert_non_null(read_bytes(MESSAGE_FROM_HELPER, "\1H\0\0\0\0\0\2"));
    assert_non_null(read_bytes(MESSAGE_FROM_GUEST, "\2x\0\0\0\0\0\2")); /* type */
    assert_non_null(read_bytes(MESSAGE_FROM_GUEST, "\2\0\0\0\0\0\0\2"));
    assert_non_null(read_bytes(MESSAGE_FROM_GUEST, "\2X\1\0\0\0\0\2")); /* descriptors */
    assert_non_null(read_bytes(MESSAGE_FROM_GUEST, "\2T\2\0\0\0\0\0"));
    assert_non_null(read_bytes(MESSAGE_FROM_HELPER, "\2S\1\0\0\0\0\1"));
    assert_non_null(read_bytes(MESSAGE_FROM_HELPER, "\2L\0\0\0\0\0\x9"));
    assert_non_null(read_bytes(MESSAGE_FROM_GUEST, "\2X\0\1\0\0\0\2")); /* byte 3 */
    assert_non_null(read_bytes(MESSAGE_FROM_GUEST, "\2X\0\0\0\0\0\1")); /* length */
    assert_non_null(read_bytes(MESSAGE_FROM_GUEST, "\2X\0\0\0\0\0\3"));
    assert_non_null(read_bytes(MESSAGE_FROM_GUEST, "\2X\0\0\x80\0\0\2"));
    assert_non_null(read_bytes(MESSAGE_FROM_GUEST, "\2E\0\0\0\0\0\0"));
    assert_non_null(read_bytes(MESSAGE_FROM_GUEST, "\2E\0\0\0\0\4\1"));
    assert_non_null(read_bytes(MESSAGE_FROM_HELPER, "\2S\0\0\0\x20\0\1"));
    assert_non_null(read_bytes(MESSAGE_FROM_HELPER, "\2S\0\0\xff\xff\xff\xff"));
}

static void test_values(void **state)
{
    (void)state;
    assert_null(message_check(MESSAGE_HELLO, "\1\1", 2));
    assert_null(message_check(MESSAGE_HELLO, "\1\xff", 2));
    assert_non_null(message_check(MESSAGE_HELLO, "\0\1", 2));
    assert_non_null(message_check(MESSAGE_HELLO, "\3\2", 2));
    assert_null(message_check(MESSAGE_SIGNAL, "\1", 1));
    assert_null(message_check(MESSAGE_SIGNAL, "\x1f", 1));
    assert_non_null(message_check(MESSAGE_SIGNAL, "\0", 1));
    assert_non_null(message_check(MESSAGE_SIGNAL, "\x20", 1));
    assert_null(message_check(MESSAGE_EXIT, "\0\0", 2));
    assert_null(message_check(MESSAGE_EXIT, "\0\xff", 2));
    assert_null(message_check(MESSAGE_EXIT, "\1\x40", 2));
    assert_non_null(message_check(MESSAGE_EXIT, "\1\x41", 2));
    assert_non_null(message_check(MESSAGE_EXIT, "\1\0", 2));
    /* Who says this wants the helper stopped, not ended. */
    assert_non_null(message_check(MESSAGE_EXIT, (const char[]){1, SIGSTOP}, 2));
    assert_non_null(message_check(MESSAGE_EXIT, (const char[]){1, SIGTSTP}, 2));
    assert_non_null(message_check(MESSAGE_EXIT, (const char[]){1, SIGTTIN}, 2));
    assert_non_null(message_check(MESSAGE_EXIT, (const char[]){1, SIGTTOU}, 2));
    assert_null(message_check(MESSAGE_EXIT, (const char[]){1, SIGKILL}, 2));
    assert_non_null(message_check(MESSAGE_EXIT, "\2\1", 2));
    assert_null(message_check(MESSAGE_ERROR, "no shell: \xc3\xa9", 12));
    assert_non_null(message_check(MESSAGE_ERROR, "a\xff", 2));
    assert_non_null(message_check(MESSAGE_ERROR, "a\0b", 3));
    assert_null(message_check(MESSAGE_STARTED, "", 0));
}

static void test_listen(void **state)
{
    const struct message_listen listen = {.linger = 0x01020304, .grace = 5000, .once = true};
    struct message_listen again;
    unsigned char bytes[MESSAGE_LISTEN_SIZE];

    (void)state;
    message_listen_write(bytes, &listen);
    assert_memory_equal(bytes, "\1\2\3\4\0\0\x13\x88\1", sizeof bytes);
    assert_null(message_check(MESSAGE_LISTEN, (char *)bytes, sizeof bytes));
    message_listen_read(&again, bytes);
    assert_int_equal(again.linger, listen.linger);
    assert_int_equal(again.grace, listen.grace);
    assert_true(again.once);
    bytes[8] = 2;
    assert_non_null(message_check(MESSAGE_LISTEN, (char *)bytes, sizeof bytes));
    memset(bytes, 0xff, 4);
    message_listen_read(&again, bytes);
    assert_true(again.linger == LINGER_FOREVER);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip), cmocka_unit_test(test_layout),
        cmocka_unit_test(test_bad_header), cmocka_unit_test(test_values),
        cmocka_unit_test(test_listen),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
