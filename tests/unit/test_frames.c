#include "config.h"

#include "engine/frames.h"

#include "base/buffer.h"
#include "base/text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

/* Two frames, an empty one between them. */
static const unsigned char sample[] = "\1\0\0\0\0\0\0\5hello\2\0\0\0\0\0\0\0\2\0\0\0\0\0\0\3err";

static void feed(size_t piece, struct text *out, struct text *err)
{
    struct frames f = {0};
    size_t at = 0, end = 0;

    while (at < sizeof sample - 1) {
        size_t payload;
        end = end + piece < sizeof sample - 1 ? end + piece : sizeof sample - 1;
        int eaten = frames_next(&f, sample + at, end - at, &payload);
        assert_true(eaten >= 0);
        at += (size_t)eaten;
        text_add(f.stream == FRAME_STDERR ? err : out, (const char *)sample + at, payload);
        frames_taken(&f, payload);
        at += payload;
    }
}

static void test_any_split(void **state)
{
    (void)state;
    for (size_t piece = 1; piece <= sizeof sample; piece++) {
        cleanup_text struct text out = {0}, err = {0};
        feed(piece, &out, &err);
        assert_string_equal(text_str(&out), "hello");
        assert_string_equal(text_str(&err), "err");
    }
}

static void test_no_frame(void **state)
{
    static const char *const bad[] = {"HTTP/1.1", "\1\0\0\1\0\0\0\0", "\4\0\0\0\0\0\0\0"};
    size_t payload;

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct frames f = {0};
        assert_int_equal(frames_next(&f, (const unsigned char *)bad[i], 8, &payload), -1);
        /* Asked again it says the same, and has written nowhere. */
        assert_int_equal(frames_next(&f, (const unsigned char *)bad[i], 8, &payload), -1);
        assert_int_equal(f.have, 0);
    }
}

/* 4 GiB less one are announced: nothing is allocated for them. */
static void test_longest(void **state)
{
    struct frames f = {0};
    size_t payload;

    (void)state;
    assert_int_equal(
        frames_next(&f, (const unsigned char *)"\1\0\0\0\xff\xff\xff\xffxyz", 11, &payload), 8);
    assert_int_equal(payload, 3);
    frames_taken(&f, 3);
    assert_int_equal(f.left, 0xffffffffu - 3);
}

static void test_buffer(void **state)
{
    struct buffer b = {0};
    size_t room;

    (void)state;
    char *at = buffer_room(&b, 10, &room);
    assert_non_null(at);
    assert_int_equal(room, 10);
    memcpy(at, "0123456789", 10);
    buffer_added(&b, 10);
    assert_null(buffer_room(&b, 10, &room));
    buffer_drop(&b, 4);
    assert_memory_equal(buffer_head(&b), "456789", 6);
    /* To the end of what is allocated, then one more: it grows, nothing is lost. */
    size_t full = b.size - b.start;
    while ((at = buffer_room(&b, full, &room))) {
        memset(at, 'x', room);
        buffer_added(&b, room);
    }
    assert_int_equal(b.len, full);
    at = buffer_room(&b, full + 1, &room);
    assert_non_null(at);
    assert_int_equal(room, 1);
    *at = 'y';
    buffer_added(&b, 1);
    assert_memory_equal(buffer_head(&b), "456789x", 7);
    /* Mostly taken: what is left moves to the front, and it doesn't grow. */
    while ((at = buffer_room(&b, b.size - b.start, &room))) {
        memset(at, 'z', room);
        buffer_added(&b, room);
    }
    size_t size = b.size;
    buffer_drop(&b, full);
    assert_int_equal(*buffer_head(&b), 'y');
    assert_non_null(buffer_room(&b, b.len + 1, &room));
    assert_int_equal(*buffer_head(&b), 'y');
    assert_int_equal(b.start, 0);
    assert_int_equal(b.size, size);
    buffer_free(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_any_split),
        cmocka_unit_test(test_no_frame),
        cmocka_unit_test(test_longest),
        cmocka_unit_test(test_buffer),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
