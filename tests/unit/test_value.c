/* The parsers of single values, at their edges. */
#include "config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "policy/entry.h"
#include "policy/value.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

typedef int parser(const char *s, long long *out, struct error **err);

struct number {
    const char *text;
    long long value; /* REFUSED: not taken */
};
#define REFUSED LLONG_MIN

static void numbers_check(parser *parse, const struct number *cases, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        cleanup_error struct error *err = NULL;
        long long value = 0;
        int result = parse(cases[i].text, &value, &err);

        if (result < 0)
            assert_non_null(err);
        if ((result < 0 ? REFUSED : value) != cases[i].value)
            fail_msg("\"%s\": expected %lld, seen %lld (%s)", cases[i].text, cases[i].value,
                     result < 0 ? REFUSED : value, error_text(err));
    }
}
#define NUMBERS_CHECK(parse, cases) numbers_check(parse, cases, sizeof(cases) / sizeof((cases)[0]))

static void test_duration(void **state)
{
    static const struct number cases[] = {
        {"0", 0},          {"90", 90},      {"90s", 90},          {"30m", 1800},
        {"4h", 14400},     {"2d", 172800},  {"3650d", 315360000}, {"3651d", REFUSED},
        {"", REFUSED},     {"m", REFUSED},  {"-1", REFUSED},      {"1w", REFUSED},
        {"1.5h", REFUSED}, {" 1", REFUSED}, {"forever", REFUSED}, {"99999999999999999999", REFUSED},
    };
    static const struct number lingers[] = {{"forever", -1}, {"10s", 10}, {"ever", REFUSED}};

    (void)state;
    NUMBERS_CHECK(value_duration, cases);
    NUMBERS_CHECK(value_linger, lingers);
}

static void test_size(void **state)
{
    static const struct number cases[] = {
        {"0", 0},
        {"1", 1},
        {"1b", 1},
        {"1B", 1},
        {"1k", 1024},
        {"1K", 1024},
        {"512m", 536870912},
        {"1M", 1048576},
        {"1g", 1073741824},
        {"1G", 1073741824},
        {"1073741824", 1073741824},
        {"0001k", 1024},
        {"9223372036854775807", LLONG_MAX},
        {"9223372036854775808", REFUSED},
        {"9007199254740991k", 9007199254740991LL * 1024},
        {"9007199254740992k", REFUSED},
        {"8589934591g", 8589934591LL << 30},
        {"8589934592g", REFUSED},
        {"99999999999999999999999999", REFUSED},
        {"", REFUSED},
        {"m", REFUSED},
        {"-1", REFUSED},
        {"+1", REFUSED},
        {" 1", REFUSED},
        {"1 ", REFUSED},
        {"1.5g", REFUSED},
        {"1mb", REFUSED},
        {"1t", REFUSED},
        {"0x10", REFUSED},
        {"1e3", REFUSED},
        {"1m1", REFUSED},
    };

    (void)state;
    NUMBERS_CHECK(value_size, cases);
}

static void test_memory(void **state)
{
    static const struct number memory[] = {
        {"6m", 6 << 20},  {"6291455", REFUSED}, {"0", REFUSED},
        {"unlimited", 0}, {"-1", REFUSED},      {"Unlimited", REFUSED},
    };
    static const struct number swap[] = {
        {"6m", 6 << 20}, {"5m", REFUSED}, {"unlimited", -1}, {"-1", -1}, {"-2", REFUSED},
    };

    (void)state;
    NUMBERS_CHECK(value_memory, memory);
    NUMBERS_CHECK(value_memory_swap, swap);
}

static void test_cpus(void **state)
{
    static const struct number cases[] = {
        {"1", 1000000000},
        {"1.5", 1500000000},
        {"0.01", 10000000},
        {"2.000000001", 2000000001},
        {"8192", 8192000000000LL},
        {"unlimited", 0},
        {"01.5", 1500000000},
        {"0", REFUSED},
        {"0.009", REFUSED},
        {"0.0", REFUSED},
        {".5", REFUSED},
        {"1.", REFUSED},
        {"1.5.5", REFUSED},
        {"-1", REFUSED},
        {"1,5", REFUSED},
        {"8193", REFUSED},
        {"", REFUSED},
        {"1.0000000001", REFUSED},
        {"99999999999999999999", REFUSED},
        {"1e3", REFUSED},
        {"nan", REFUSED},
        {"50%", REFUSED},
    };

    (void)state;
    NUMBERS_CHECK(value_cpus, cases);
}

static void test_pids(void **state)
{
    static const struct number cases[] = {
        {"1", 1},
        {"256", 256},
        {"4194304", 4194304},
        {"-1", -1},
        {"unlimited", -1},
        {"0", REFUSED},
        {"4194305", REFUSED},
        {"-2", REFUSED},
        {"", REFUSED},
        {"12x", REFUSED},
        {"18446744073709551617", REFUSED},
    };

    (void)state;
    NUMBERS_CHECK(value_pids, cases);
}

static void test_ulimit(void **state)
{
    static const struct {
        const char *text, *name;
        long long soft, hard;
    } good[] = {
        {"nofile=1024:2048", "nofile", 1024, 2048},
        {"core=0", "core", 0, 0},
        {"nproc=unlimited", "nproc", -1, -1},
        {"stack=-1:-1", "stack", -1, -1},
        {"cpu=5:unlimited", "cpu", 5, -1},
        {"as=9223372036854775807", "as", LLONG_MAX, LLONG_MAX},
    };
    static const char *const bad[] = {
        "",
        "nofile",
        "nofile=",
        "=1",
        "nofile=a",
        "nofile=2:1",
        "nofile=unlimited:1",
        "nofile=1:",
        "nofile=:1",
        "nofile=1:2:3",
        "NOFILE=1",
        "nofil=1",
        "nofiles=1",
        "nofile=-2",
        "nofile=9223372036854775808",
        "nofile = 1",
    };

    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        struct error *err = NULL;
        struct ulimit u;
        assert_int_equal(entry_ulimit(good[i].text, &u, &err), 0);
        assert_string_equal(u.name, good[i].name);
        assert_int_equal(u.soft, good[i].soft);
        assert_int_equal(u.hard, good[i].hard);
        ulimit_clear(&u);
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct error *err = NULL;
        struct ulimit u;
        if (entry_ulimit(bad[i], &u, &err) == 0)
            fail_msg("\"%s\" was taken", bad[i]);
        error_clear(&err);
    }
}

static void test_mount(void **state)
{
    static const struct {
        const char *text;
        struct mount mount;
    } good[] = {
        {"/srv:/data", {(char *)"/srv", (char *)"/data", false, false}},
        {"/srv:/data:ro", {(char *)"/srv", (char *)"/data", true, false}},
        {"/srv:/data:rw", {(char *)"/srv", (char *)"/data", false, false}},
        {"/:/host:ro", {(char *)"/", (char *)"/host", true, false}},
        {"cache:/c", {(char *)"cache", (char *)"/c", false, true}},
        {"0a_b.c-d:/c:ro", {(char *)"0a_b.c-d", (char *)"/c", true, true}},
        {"/a b/..c:/.d", {(char *)"/a b/..c", (char *)"/.d", false, false}},
    };
    static const char *const bad[] = {
        "",
        ":",
        "/srv",
        "/srv:",
        ":/data",
        "srv/a:/data",
        "./srv:/data",
        "/srv:data",
        "/srv:/",
        "/srv://",
        "/srv/../etc:/data",
        "/srv/.:/data",
        "/..:/data",
        "/srv:/a/..",
        "/srv:/./a",
        "/srv:/data:",
        "/srv:/data:z",
        "/srv:/data:ro:rw",
        "-v:/c",
        ".v:/c",
        "v v:/c",
        "~/a:/c",
    };

    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        struct error *err = NULL;
        struct mount m;
        assert_int_equal(entry_mount(good[i].text, &m, &err), 0);
        assert_string_equal(m.source, good[i].mount.source);
        assert_string_equal(m.target, good[i].mount.target);
        assert_int_equal(m.read_only, good[i].mount.read_only);
        assert_int_equal(m.volume, good[i].mount.volume);
        mount_clear(&m);
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct error *err = NULL;
        struct mount m;
        if (entry_mount(bad[i], &m, &err) == 0)
            fail_msg("\"%s\" was taken", bad[i]);
        error_clear(&err);
    }
}

static void test_device(void **state)
{
    static const char *const good[][4] = {
        {"/dev/fuse", "/dev/fuse", "/dev/fuse", "rwm"},
        {"/dev/fuse:rw", "/dev/fuse", "/dev/fuse", "rw"},
        {"/dev/sda:/dev/xvda", "/dev/sda", "/dev/xvda", "rwm"},
        {"/dev/sda:/dev/xvda:mr", "/dev/sda", "/dev/xvda", "mr"},
    };
    static const char *const bad[] = {
        "",          "fuse",           "/dev/fuse:",         "/dev/fuse:x", "/dev/fuse:rr",
        "/dev/../x", "/dev/a:/dev/b:", "/dev/a:/dev/b:rw:m", ":/a"};

    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        struct error *err = NULL;
        struct device d;
        assert_int_equal(entry_device(good[i][0], &d, &err), 0);
        assert_string_equal(d.host, good[i][1]);
        assert_string_equal(d.container, good[i][2]);
        assert_string_equal(d.access, good[i][3]);
        device_clear(&d);
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct error *err = NULL;
        struct device d;
        if (entry_device(bad[i], &d, &err) == 0)
            fail_msg("\"%s\" was taken", bad[i]);
        error_clear(&err);
    }
}

#define TEN "0123456789"

static void test_endpoint(void **state)
{
    static const char *const good[][3] = {
        {"unix:///run/docker.sock", "/run/docker.sock", NULL},
        {"tcp://engine:2376", NULL, "engine:2376"},
        {"tcp://10.0.0.1:65535", NULL, "10.0.0.1:65535"},
        {"tcp://[::1]:1", NULL, "[::1]:1"},
        /* sun_path has 108 bytes with the NUL. */
        {"unix:///" TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN "123456",
         "/" TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN "123456", NULL},
    };
    static const char *const bad[] = {
        "",
        "/run/docker.sock",
        "unix://",
        "unix://run/docker.sock",
        "unix:///a/../b",
        "unix:///a b",
        "tcp://",
        "tcp://engine",
        "tcp://engine:",
        "tcp://engine:0",
        "tcp://engine:65536",
        "tcp://:2376",
        "tcp://a b:1",
        "tcp://user@engine:1",
        "tcp://engine:2376/x",
        "tcp://[::1]",
        "tcp://[::1:1",
        "tcp://[x]:1",
        "tcp://[1.2.3.4]:1",
        "http://engine:1",
        "ssh://engine",
        "unix:///" TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN "1234567",
    };

    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        struct error *err = NULL;
        char *socket = NULL, *host = NULL;
        assert_int_equal(entry_endpoint(good[i][0], &socket, &host, &err), 0);
        assert_string_equal(socket ? socket : "none", good[i][1] ? good[i][1] : "none");
        assert_string_equal(host ? host : "none", good[i][2] ? good[i][2] : "none");
        free(socket);
        free(host);
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct error *err = NULL;
        char *socket = NULL, *host = NULL;
        if (entry_endpoint(bad[i], &socket, &host, &err) == 0)
            fail_msg("\"%s\" was taken", bad[i]);
        error_clear(&err);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_duration), cmocka_unit_test(test_size),
        cmocka_unit_test(test_memory),   cmocka_unit_test(test_cpus),
        cmocka_unit_test(test_pids),     cmocka_unit_test(test_ulimit),
        cmocka_unit_test(test_mount),    cmocka_unit_test(test_device),
        cmocka_unit_test(test_endpoint),
    };

    return cmocka_run_group_tests_name("value", tests, NULL, NULL);
}
