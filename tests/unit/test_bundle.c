#include "config.h"

#include "base/file.h"
#include "bundle/parts.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

static void test_glibcs_list(void **state)
{
    cleanup_strings struct strings pairs = {0};
    cleanup_error struct error *err = NULL;
    static const char list[] =
        "\tlinux-vdso.so.1 (0x00007ffd9c5f2000)\n"
        "\tlibcrypto.so.3 => /lib/x86_64-linux-gnu/libcrypto.so.3 (0x00007f0000000000)\n"
        "\tlibc.so.6 => /opt/a (b)/libc.so.6 (0x00007f40cd128000)\n"
        "\t/lib64/ld-linux-x86-64.so.2 => /lib/ld.so (0x00007f40cd350000)\n"
        "\t/lib64/ld-linux-x86-64.so.2 (0x00007f40cd350000)\n";

    (void)state;
    assert_int_equal(parts_read_list(&pairs, list, &err), 0);
    assert_int_equal(pairs.count, 4);
    assert_string_equal(pairs.items[0], "libcrypto.so.3");
    assert_string_equal(pairs.items[1], "/lib/x86_64-linux-gnu/libcrypto.so.3");
    assert_string_equal(pairs.items[2], "libc.so.6");
    assert_string_equal(pairs.items[3], "/opt/a (b)/libc.so.6");
}

static void test_musls_list(void **state)
{
    cleanup_strings struct strings pairs = {0};
    cleanup_error struct error *err = NULL;

    (void)state;
    assert_int_equal(parts_read_list(&pairs,
                                     "\t/lib/ld-musl-x86_64.so.1 (0x7f3c)\n"
                                     "\tlibcrypto.so.3 => /lib/libcrypto.so.3 (0x7f3d)\n"
                                     "\tlibc.musl-x86_64.so.1 => /lib/ld-musl-x86_64.so.1 (0x7f3c)",
                                     &err),
                     0);
    assert_int_equal(pairs.count, 4);
    assert_string_equal(pairs.items[2], "libc.musl-x86_64.so.1");
    assert_string_equal(pairs.items[3], "/lib/ld-musl-x86_64.so.1");
}

static void test_what_is_missing(void **state)
{
    static const char *const lists[] = {"\tlibz.so.1 => not found\n", "\tlibz.so.1 => \n",
                                        "\t.. => /lib/libz.so.1 (0x1)\n", "libz.so.1 => (0x1)"};

    (void)state;
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) {
        cleanup_strings struct strings pairs = {0};
        cleanup_error struct error *err = NULL;
        assert_int_equal(parts_read_list(&pairs, lists[i], &err), -1);
        assert_non_null(err);
    }
    cleanup_strings struct strings pairs = {0};
    cleanup_error struct error *err = NULL;
    assert_int_equal(parts_read_list(&pairs, "\tstatically linked\n", &err), 0);
    assert_int_equal(pairs.count, 0);
}

static int file_of(const void *bytes, size_t len)
{
    int fd = memfd_create("program", MFD_CLOEXEC);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, bytes, len), len);
    return fd;
}

/* This very program's, and what is left of it when a byte is another or all behind it is
 * cut off: a path, nothing or an error, never more. */
static void test_loader(void **state)
{
    cleanup_error struct error *err = NULL;
    char head[4096];
    cleanup_fd int self = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    size_t len = (size_t)read(self, head, sizeof head);

    (void)state;
    cleanup_string char *loader = parts_loader_of(self, &err);
    assert_non_null(loader);
    assert_int_equal(loader[0], '/');
    for (size_t i = 0; i < 1024; i++) {
        char changed = (char)(head[i] ^ 0xff), kept = head[i];
        head[i] = changed;
        cleanup_fd int fd = file_of(head, len), cut = file_of(head, i);
        head[i] = kept;
        for (int n = 0; n < 2; n++) {
            cleanup_error struct error *why = NULL;
            cleanup_string char *got = parts_loader_of(n ? cut : fd, &why);
            assert_true((got != NULL) != (why != NULL));
        }
    }
    cleanup_error struct error *why = NULL;
    cleanup_fd int script = file_of("#!/bin/sh\n", 10);
    assert_null(parts_loader_of(script, &why));
    assert_non_null(why);
}

static void test_parts_of_a_program(void **state)
{
    struct parts parts;
    cleanup_error struct error *err = NULL;

    (void)state;
    assert_int_equal(parts_find(&parts, "/nonexistent/sftp-server", &err), -1);
    parts_free(&parts);
    error_clear(&err);
    /* Only where the system is as usual: its files are root's, without links on the way. */
    if (parts_find(&parts, "/bin/cat", &err) == 0 && parts.loader == LOADER_GLIBC) {
        assert_string_equal(parts.items[0].name, PARTS_PROGRAM);
        assert_string_equal(parts.items[1].name, PARTS_LOADER);
        assert_true(parts.count >= 3);
    }
    parts_free(&parts);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_glibcs_list),        cmocka_unit_test(test_musls_list),
        cmocka_unit_test(test_what_is_missing),    cmocka_unit_test(test_loader),
        cmocka_unit_test(test_parts_of_a_program),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
