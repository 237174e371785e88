/* What berth.conf mounts where berth itself would. */
#include "config.h"

#include "session/occupied.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define S(s) ((char *)(s))

static bool by_mount(const char *target, bool read_only)
{
    struct mount mount = {.source = S("/srv"), .target = S(target), .read_only = read_only};
    const struct policy p = {.mounts = &mount, .mount_count = 1};

    return occupied(&p, "/tmp/.X11-unix", "/tmp");
}

static bool by_create(const char *create)
{
    const struct policy p = {.create = S(create)};

    return occupied(&p, "/tmp/.X11-unix", "/tmp");
}

static void test_options(void **state)
{
    struct tmpfs tmpfs = {.target = S("/tmp"), .options = S("")};
    const struct policy p = {.tmpfs = &tmpfs, .tmpfs_count = 1}, none = {0};

    (void)state;
    assert_false(occupied(&none, "/tmp/.X11-unix", "/tmp"));
    assert_true(by_mount("/tmp/.X11-unix", false) && by_mount("/tmp/.X11-unix/", true));
    assert_true(by_mount("/tmp", true));
    assert_false(by_mount("/tmp", false) || by_mount("/tmp/.X11-uni", true) ||
                 by_mount("/tmp/.X11-unix/X0", false) || by_mount("/", true));
    assert_false(occupied(&p, "/tmp/.X11-unix", "/tmp"));
    tmpfs.target = S("/tmp/.X11-unix");
    assert_true(occupied(&p, "/tmp/.X11-unix", "/tmp"));
}

static void test_create(void **state)
{
    static const char *const there[] = {
        "{\"HostConfig\":{\"Mounts\":[{\"Target\":\"/x\"},{\"Target\":\"/tmp/.X11-unix\"}]}}",
        "{\"HostConfig\":{\"Mounts\":[{\"target\":\"/tmp/.X11-unix//\"}]}}",
        "{\"HostConfig\":{\"Mounts\":[{\"Target\":\"/tmp\",\"ReadOnly\":true}]}}",
        "{\"HostConfig\":{\"Binds\":[\"/srv:/tmp/.X11-unix\"]}}",
        "{\"HostConfig\":{\"Binds\":[\"v:/tmp/.X11-unix:rw\"]}}",
        "{\"HostConfig\":{\"Binds\":[\"/srv:/tmp:nocopy,ro\"]}}",
        "{\"HostConfig\":{\"Tmpfs\":{\"/tmp/.X11-unix\":\"\"}}}",
        "{\"Volumes\":{\"/tmp/.X11-unix\":{}}}"};
    static const char *const free[] = {
        "{}",
        "[]",
        "{\"HostConfig\":null}",
        "{\"HostConfig\":{\"Mounts\":[null,7,{\"Target\":7},{}],\"Binds\":[\"x\",7,null]}}",
        "{\"HostConfig\":{\"Mounts\":{\"Target\":\"/tmp/.X11-unix\"},\"Binds\":\"/s:/tmp\"}}",
        "{\"HostConfig\":{\"Tmpfs\":{\"/tmp\":\"\"},\"Binds\":[\"/srv:/tmp\"]}}",
        "{\"Volumes\":[\"/tmp/.X11-unix\"]}"};

    (void)state;
    for (size_t i = 0; i < sizeof there / sizeof *there; i++)
        if (!by_create(there[i]))
            fail_msg("free: %s", there[i]);
    for (size_t i = 0; i < sizeof free / sizeof *free; i++)
        if (by_create(free[i]))
            fail_msg("occupied: %s", free[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_options),
        cmocka_unit_test(test_create),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
