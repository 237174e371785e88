#include "config.h"

#include "session/record.h"

#include "base/file.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#define ID     "9f8e7d6c5b4a39219f8e7d6c5b4a39219f8e7d6c5b4a39219f8e7d6c5b4a3921"
#define POLICY "0123456789abcdef"

static struct record example(void)
{
    struct record record = {.policy = POLICY,
                            .checked = 1795000000,
                            .pid = 4711,
                            .id = ID,
                            .image = ID,
                            .image_name = "registry.test:5000/dev-tools:latest",
                            .keep = true,
                            .linger = 1800};

    return record;
}

static int file(const char *text)
{
    int fd = memfd_create("record", MFD_CLOEXEC);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    return fd;
}

static void test_round(void **state)
{
    struct record record = example(), seen;
    struct error *err = NULL;
    cleanup_fd int fd = file("k");
    char noted;

    (void)state;
    assert_false(record_read(&seen, fd));
    assert_int_equal(record_write(&record, fd, &err), 0);
    assert_true(record_read(&seen, fd));
    assert_memory_equal(&seen, &record, sizeof seen);
    /* In place, and the rest stays. */
    record.checked = 5;
    memcpy(record.policy, RECORD_OUTDATED, sizeof record.policy);
    record_update(&record, fd);
    assert_true(record_read(&seen, fd));
    assert_memory_equal(&seen, &record, sizeof seen);
    assert_int_equal(pread(fd, &noted, 1, 0), 1);
    assert_int_equal(noted, 'k');
    /* The longest, and one whose image the engine didn't tell. */
    memset(record.image_name, 'x', sizeof record.image_name - 1);
    record.image[0] = '\0';
    record.linger = LINGER_GUEST;
    assert_int_equal(record_write(&record, fd, &err), 0);
    assert_true(record_read(&seen, fd));
    assert_string_equal(seen.image_name, record.image_name);
    assert_string_equal(seen.image, "-");
    assert_int_equal(seen.linger, LINGER_GUEST);
    record_clear(fd);
    assert_false(record_read(&seen, fd));
    assert_false(record_former(&seen, fd));
}

/* There for the next who makes one, until that is done. */
static void test_retired(void **state)
{
    struct record record = example(), seen;
    struct error *err = NULL;
    cleanup_fd int fd = file("k");
    char noted;

    (void)state;
    record_retire(fd);
    assert_false(record_former(&seen, fd));
    assert_int_equal(record_write(&record, fd, &err), 0);
    assert_false(record_former(&seen, fd));
    record_retire(fd);
    assert_false(record_read(&seen, fd));
    assert_true(record_former(&seen, fd));
    assert_memory_equal(&seen, &record, sizeof seen);
    assert_int_equal(pread(fd, &noted, 1, 0), 1);
    assert_int_equal(noted, 'k');
    assert_int_equal(record_write(&record, fd, &err), 0);
    assert_true(record_read(&seen, fd));
    assert_false(record_former(&seen, fd));
}

/* It is the user's file, and root reads it. */
static void test_hostile(void **state)
{
    static const char whole[] = "k policy=" POLICY " checked=0000000001 pid=4711 keep=0 linger=0 "
                                "id=" ID " image=" ID " name=x\n";
    static const char *const bad[] = {
        "",
        "k",
        "k\n",
        "k policy=\n",
        "k policy=%s%n checked=1\n",
        "k policy=" POLICY " checked=0000000001 pid=1 keep=0 linger=0 id=" ID " image=- name=x\n",
        "k policy=" POLICY " checked=0000000001 pid=-9 keep=0 linger=0 id=" ID " image=- name=x\n",
        "k policy=" POLICY " checked=0000000001 pid=99 keep=0 linger=0 id=../x image=- name=x\n",
        "k policy=" POLICY " checked=0000000001 pid=99 keep=0 linger=0 id=" ID ID
        " image=- name=x\n",
        "k policy=" POLICY " checked=0000000001 pid=99 keep=0 linger=0 id=" ID " image=- name=\n"};
    struct record record;

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        cleanup_fd int fd = file(bad[i]);
        if (record_read(&record, fd))
            fail_msg("taken: %s", bad[i]);
    }
    cleanup_fd int fd = file(whole);
    assert_true(record_read(&record, fd));
    for (off_t len = (off_t)strlen(whole) - 1; len >= 0; len--) {
        assert_int_equal(ftruncate(fd, len), 0);
        assert_false(record_read(&record, fd));
    }
    cleanup_fd int large = file("k policy=");
    assert_int_equal(ftruncate(large, 1 << 30), 0);
    assert_false(record_read(&record, large));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_round), cmocka_unit_test(test_retired),
                                       cmocka_unit_test(test_hostile)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
