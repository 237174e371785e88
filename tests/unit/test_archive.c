#include "config.h"

#include "engine/archive.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

enum { BLOCK = 512 };

static const struct archive_owner owner = {2001, 2002};

/* In pieces of `piece` bytes; what is left unread in *why. */
static struct archive_entry read_it(const struct text *archive, size_t most, size_t piece,
                                    bool *whole, const char **why)
{
    struct archive_entry entry = {0};
    struct archive_reading r = {.entry = &entry, .most = most};

    for (size_t at = 0; at < archive->len; at += piece) {
        size_t n = archive->len - at < piece ? archive->len - at : piece;
        if (archive_take(&r, archive->data + at, n) < 0)
            break;
    }
    *whole = r.found && r.left == 0 && !r.why;
    *why = r.why;
    text_free(&r.head);
    return entry;
}

static void test_own_archive_is_read(void **state)
{
    static const size_t pieces[] = {1, 7, 511, 512, 513, 100000};
    cleanup_text struct text content = {0}, archive = {0};
    const char *why;
    bool whole;

    (void)state;
    for (int i = 0; i < 300; i++)
        text_puts(&content, "line\n");
    archive_add_file(&archive, "etc/passwd", &content);
    assert_int_equal(archive.len % BLOCK, 0);
    for (size_t i = 0; i < sizeof pieces / sizeof *pieces; i++) {
        struct archive_entry e = read_it(&archive, 1500, pieces[i], &whole, &why);
        assert_true(whole);
        assert_int_equal(e.type, ARCHIVE_FILE);
        assert_int_equal(e.mode, 0644);
        assert_string_equal(text_str(&e.content), text_str(&content));
        text_free(&e.content);
    }
    struct archive_entry e = read_it(&archive, 1499, 512, &whole, &why);
    assert_string_equal(why, "it is too long");
    text_free(&e.content);
    archive.len -= 1000;
    e = read_it(&archive, 1500, 512, &whole, &why);
    assert_false(whole);
    text_free(&e.content);
}

static void test_folder_and_empty_file(void **state)
{
    cleanup_text struct text none = {0}, folder = {0}, file = {0};
    const char *why;
    bool whole;

    (void)state;
    archive_add_folder(&folder, "home/alice", 0755, &owner);
    struct archive_entry e = read_it(&folder, 0, 512, &whole, &why);
    assert_true(whole);
    assert_int_equal(e.type, ARCHIVE_FOLDER);
    assert_int_equal(e.mode, 0755);
    assert_string_equal(folder.data + 108, "0003721"); /* 2001 */
    archive_add_file(&file, "x", &none);
    e = read_it(&file, 10, 512, &whole, &why);
    assert_true(whole);
    assert_int_equal(e.type, ARCHIVE_FILE);
    assert_int_equal(e.content.len, 0);
}

/* What other writers put before the entry, and what is none. */
static void test_extended_headers(void **state)
{
    cleanup_text struct text archive = {0}, records = {0}, content = {0}, noise = {0};
    const char *why;
    bool whole;

    (void)state;
    text_puts(&records, "30 mtime=1350244992.023960108\n");
    text_puts(&content, "x\n");
    archive_add_file(&archive, "PaxHeaders.0/passwd", &records);
    archive.data[156] = 'x';
    archive_add_file(&archive, "passwd", &content);
    struct archive_entry e = read_it(&archive, 10, 3, &whole, &why);
    assert_true(whole);
    assert_string_equal(text_str(&e.content), "x\n");
    text_free(&e.content);

    archive.data[2 * BLOCK + 156] = '2';
    memcpy(archive.data + 2 * BLOCK + 157, "../usr/passwd", 14);
    e = read_it(&archive, 10, 512, &whole, &why);
    assert_true(whole);
    assert_int_equal(e.type, ARCHIVE_LINK);
    assert_string_equal(e.link, "../usr/passwd");

    memset(archive.data + 2 * BLOCK + 157, 'x', 100);
    e = read_it(&archive, 10, 512, &whole, &why);
    assert_int_equal(e.type, ARCHIVE_LINK);
    assert_string_equal(e.link, "");

    for (int i = 0; i < 1000; i++)
        text_puts(&noise, "{}");
    e = read_it(&noise, 10, 512, &whole, &why);
    assert_false(whole);
    assert_string_equal(why, "what it sent is no tar archive");
    archive.data[124] = '7'; /* of the extended header's length */
    e = read_it(&archive, 10, 512, &whole, &why);
    assert_string_equal(why, "its archive's header is too long");
}

static void test_long_path_is_refused(void **state)
{
    cleanup_text struct text archive = {0};
    char path[101];

    (void)state;
    memset(path, 'x', 100);
    path[100] = '\0';
    archive_add_folder(&archive, path, 0755, &owner);
    assert_true(archive.failed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_own_archive_is_read),
        cmocka_unit_test(test_folder_and_empty_file),
        cmocka_unit_test(test_extended_headers),
        cmocka_unit_test(test_long_path_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
