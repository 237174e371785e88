/* The engine's answers: what is read of them, and what isn't taken for it. */
#include "config.h"

#include "base/text.h"
#include "engine/container.h"
#include "engine/exec.h"
#include "engine/pull.h"
#include "engine/reply.h"
#include "engine/upgrade.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <json-c/json.h>

#define ID "9f8e7d6c5b4a39219f8e7d6c5b4a39219f8e7d6c5b4a39219f8e7d6c5b4a3921"

/* 1 with what came behind the head in `rest`; 0: more must come; -1. */
static int upgrade(const char *reply, char *rest, size_t size)
{
    struct upgrade u = {.end = 0};
    cleanup_error struct error *err = NULL;
    size_t len = strlen(reply);

    assert_true(len < sizeof u.bytes);
    memcpy(u.bytes, reply, len);
    int rc = upgrade_came(&u, len, &err);
    assert_int_equal(rc < 0, err != NULL);
    rest[upgrade_take(&u, rest, size - 1)] = '\0';
    return rc;
}

static void test_upgrade(void **state)
{
    static const struct {
        const char *reply, *rest;
        int rc;
    } cases[] = {
        {"HTTP/1.1 101 UPGRADED\r\nUpgrade: tcp\r\n\r\n$ ", "$ ", 1},
        {"HTTP/1.0 101\r\n\r\n", "", 1},
        {"HTTP/1.1 101 UPGRADED\r\nUpgrade: tcp\r\n", NULL, 0},
        {"HTTP/1.1 200 OK\r\n\r\n$ ", NULL, -1},
        {"HTTP/1.1 1010 OK\r\n\r\n$ ", NULL, -1},
        {"HTTP/1.101 OK\r\n\r\n", NULL, -1},
        {"HTTP/1.\r\n\r\n 101 ", NULL, -1},
        {"\r\n\r\nHTTP/1.1 101 UPGRADED\r\n\r\n", NULL, -1},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char rest[64];
        int rc = upgrade(cases[i].reply, rest, sizeof rest);
        if (rc != cases[i].rc || (rc == 1 && strcmp(rest, cases[i].rest) != 0))
            fail_msg("%s: seen %d, \"%s\"", cases[i].reply, rc, rest);
    }
}

static void test_exec_state(void **state)
{
    static const struct {
        const char *reply, *container;
        int rc, status;
        bool running;
    } cases[] = {
        {"{\"Running\":true,\"ExitCode\":null,\"ContainerID\":\"" ID "\"}", ID, 0, -1, true},
        {"{\"Running\":false,\"ExitCode\":137}", "", 0, 137, false},
        {"{\"Running\":false,\"ExitCode\":256}", "", -1, 256, false},
        {"{\"Running\":false}", "", -1, -1, false},
        {"{\"ExitCode\":0}", "", -1, 0, true},
        /* As long as an id is. */
        {"{\"Running\":true,\"ContainerID\":\"" ID "0\"}", "", 0, -1, true},
        {"{\"Running\":true,\"ContainerID\":\""
         "../../../../../../../../../../../../../../../../../../../../../"
         "x\"}",
         "", 0, -1, true},
        {"{\"Running\":true,\"ContainerID\":\""
         "9f8e7d6c5b4a39219f8e7d6c5b4a3921\\u00005b4a39219f8e7d6c5b4a3921"
         "9f8e7d\"}",
         "", 0, -1, true},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct json_object *reply = reply_parse(cases[i].reply);
        cleanup_error struct error *err = NULL;
        struct exec_state seen;
        assert_non_null(reply);
        int rc = exec_read_state(reply, &seen, &err);
        if (rc != cases[i].rc || seen.status != cases[i].status ||
            seen.running != cases[i].running || strcmp(seen.container, cases[i].container) != 0)
            fail_msg("%s: seen %d, %d %d \"%s\"", cases[i].reply, rc, seen.status, seen.running,
                     seen.container);
        json_object_put(reply);
    }
}

static void test_wait(void **state)
{
    static const struct {
        const char *reply, *error; /* NULL: none */
        int status;
    } cases[] = {
        {"{\"StatusCode\":130}", NULL, 130},
        {"{\"Error\":null,\"StatusCode\":0}", NULL, 0},
        {"{\"Error\":{\"Message\":\"gone\"},\"StatusCode\":0}", "engine: wait: gone", -1},
        {"{\"Error\":{\"Message\":null},\"StatusCode\":0}",
         "engine: wait: the answer has an Error without a Message", -1},
        {"{\"StatusCode\":-1}", "engine: wait: the answer has no StatusCode from 0 to 255", -1},
        {"{}", "engine: wait: the answer has no StatusCode from 0 to 255", -1},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct json_object *reply = reply_parse(cases[i].reply);
        cleanup_error struct error *err = NULL;
        int status = -1, rc = container_read_status(reply, &status, &err);
        assert_int_equal(status, cases[i].status);
        assert_int_equal(rc, cases[i].error ? -1 : 0);
        if (cases[i].error)
            assert_string_equal(error_text(err), cases[i].error);
        json_object_put(reply);
    }
}

static void test_state(void **state)
{
    static const struct {
        const char *reply;
        int status;
        bool running, started, dead;
    } cases[] = {
        {"{\"State\":{\"Status\":\"running\",\"Running\":true,\"ExitCode\":0,"
         "\"StartedAt\":\"2026-11-27T12:00:00Z\"}}",
         0, true, true, false},
        {"{\"State\":{\"Status\":\"exited\",\"Running\":false,\"ExitCode\":143,"
         "\"StartedAt\":\"2026-11-27T12:00:00Z\"}}",
         143, false, true, false},
        {"{\"State\":{\"Status\":\"created\",\"StartedAt\":\"0001-01-01T00:00:00Z\"}}", 0, false,
         false, false},
        /* Either says it: not every engine has both. */
        {"{\"State\":{\"Status\":\"removing\",\"Dead\":false,\"ExitCode\":137}}", 137, false, true,
         true},
        {"{\"State\":{\"Dead\":true,\"ExitCode\":137}}", 137, false, true, true},
        {"{\"State\":{\"Status\":7,\"ExitCode\":\"1\"}}", 0, false, true, false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct json_object *reply = reply_parse(cases[i].reply);
        cleanup_error struct error *err = NULL;
        struct container_state seen;
        assert_int_equal(container_read_state(reply, &seen, NULL, NULL, &err), 0);
        if (seen.status != cases[i].status || seen.running != cases[i].running ||
            seen.started != cases[i].started || seen.dead != cases[i].dead)
            fail_msg("%s: seen %d %d %d %d", cases[i].reply, seen.status, seen.running,
                     seen.started, seen.dead);
        json_object_put(reply);
    }
}

struct progress {
    unsigned layers, layers_done;
    long long done, total;
};

static void take_progress(void *data, unsigned layers, unsigned layers_done, long long done,
                          long long total)
{
    *(struct progress *)data = (struct progress){layers, layers_done, done, total};
}

static int pull(const char *text, struct progress *progress, struct error **err)
{
    struct pull *pull = pull_new(take_progress, progress);
    int rc = 0;

    assert_non_null(pull);
    for (; rc == 0 && *text; text++)
        rc = pull_take(pull, text, 1);
    rc = pull_end(pull, rc, err);
    pull_free(pull);
    return rc;
}

#define LAYER(id, done, total)                                                                     \
    "{\"status\":\"Downloading\",\"id\":\"" id "\",\"progressDetail\":{\"current\":" done          \
    ",\"total\":" total "}}\r\n"

static void assert_progress(const char *text, long long done, long long total)
{
    struct progress seen = {0};
    cleanup_error struct error *err = NULL;

    assert_int_equal(pull(text, &seen, &err), 0);
    assert_int_equal(seen.done, done);
    assert_int_equal(seen.total, total);
}

/* The sizes are a registry's word. */
static void test_pull(void **state)
{
    (void)state;
    assert_progress(LAYER("a", "10", "1000") LAYER("b", "5", "50"), 15, 1050);
    assert_progress(LAYER("a", "10", "1000") "{\"status\":\"Pull complete\",\"id\":\"a\"}", 1000,
                    1000);
    assert_progress(LAYER("a", "-10", "-9223372036854775808"), 0, 0);
    assert_progress(LAYER("a", "\"x\"", "[1]"), 0, 0);
    struct progress seen = {0};
    cleanup_error struct error *err = NULL;
    assert_int_equal(pull(LAYER("a", "9223372036854775807", "9223372036854775807")
                              LAYER("b", "9223372036854775807", "1e300"),
                          &seen, &err),
                     0);
    assert_true(seen.done > 0 && seen.total > 0);
    assert_int_equal(seen.layers, 2);
}

static void test_pull_fails(void **state)
{
    static const struct {
        const char *text, *error;
    } cases[] = {
        {"{\"errorDetail\":{\"message\":\"too many\"},\"error\":\"x\"}", "too many"},
        {"{\"error\":\"x\"}", "x"},
        {"<html>", "the progress is no JSON"},
        {LAYER("a", "1", "2") "{\"status\":", "the engine broke off"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct progress seen = {0};
        cleanup_error struct error *err = NULL;
        assert_int_equal(pull(cases[i].text, &seen, &err), -1);
        assert_string_equal(error_text(err), cases[i].error);
    }
}

static void assert_message(const char *body, const char *wanted)
{
    cleanup_string char *seen = reply_message(body);

    assert_string_equal(seen, wanted);
}

static void test_message(void **state)
{
    char *longest = malloc(1001);

    (void)state;
    assert_message("{\"message\":\"no such container\\n\"}", "no such container");
    assert_message("{\"message\":5}", "{\"message\":5}");
    assert_message("page not found\r\n", "page not found");
    assert_message("", "");
    assert_non_null(longest);
    memset(longest, 'x', 1000);
    longest[1000] = '\0';
    cleanup_string char *seen = reply_message(longest);
    assert_int_equal(strlen(seen), 600);
    free(longest);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_upgrade), cmocka_unit_test(test_exec_state),
        cmocka_unit_test(test_wait),    cmocka_unit_test(test_state),
        cmocka_unit_test(test_pull),    cmocka_unit_test(test_pull_fails),
        cmocka_unit_test(test_message),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
