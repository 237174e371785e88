#include "config.h"

#include "engine/listing.h"
#include "session/owner.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define MACHINE "3d1219c70123456789abcdef01234567"

static bool is_owned(const char *name, const char *uid, const char *session)
{
    struct owner owner = {0};
    bool ours = owner_read(&owner, MACHINE, name, uid, session);

    if (ours) {
        assert_int_equal(owner.uid, strtoul(uid, NULL, 10));
        assert_string_equal(owner.key, session);
    }
    return ours;
}

static void test_name_and_labels_agree(void **state)
{
    (void)state;
    assert_true(is_owned("berth-3d1219c7-2001-user", "2001", "user"));
    assert_true(is_owned("berth-3d1219c7-0-9f8e7d6c5b4a3921", "0", "9f8e7d6c5b4a3921"));
    assert_true(is_owned("berth-3d1219c7-2001-n8e7d6c5b4a39210", "2001", "n8e7d6c5b4a39210"));
    assert_true(is_owned("berth-3d1219c7-2001-u8e7d6c5b4a39210", "2001", "u8e7d6c5b4a39210"));
    assert_false(is_owned("berth-3d1219c7-2001-user", "2001", "u8e7d6c5b4a39210"));
    assert_true(is_owned("berth-3d1219c7-4294967294-user", "4294967294", "user"));
    /* A committed image's labels on another's container. */
    assert_false(is_owned("web", "2001", "user"));
    assert_false(is_owned("", "2001", "user"));
    assert_false(is_owned("berth-3d1219c7-2002-user", "2001", "user"));
    assert_false(is_owned("berth-3d1219c8-2001-user", "2001", "user"));
    assert_false(is_owned("berth-3d1219c7-2001-9f8e7d6c5b4a3921", "2001", "user"));
    assert_false(is_owned("berth-3d1219c7-2001-user", NULL, "user"));
    assert_false(is_owned("berth-3d1219c7-2001-user", "2001", NULL));
}

static void test_labels_of_no_berth(void **state)
{
    (void)state;
    assert_false(is_owned("berth-3d1219c7-2001-user", "02001", "user"));
    assert_false(is_owned("berth-3d1219c7-2001-user", "+2001", "user"));
    assert_false(is_owned("berth-3d1219c7-2001-user", "2001 ", "user"));
    assert_false(is_owned("berth-3d1219c7-1-user", "4294967297", "user"));
    assert_false(is_owned("berth-3d1219c7-4294967295-user", "-1", "user"));
    assert_false(is_owned("berth-3d1219c7--1-user", "-1", "user"));
    assert_false(is_owned("berth-3d1219c7-0-user", "", "user"));
    assert_false(is_owned("berth-3d1219c7-2001-", "2001", ""));
    assert_false(is_owned("berth-3d1219c7-2001-../x", "2001", "../x"));
}

static char seen[1024];

static void note(void *data, const struct listed *c)
{
    const char *label = listed_label(c, "berth.uid");
    size_t len = strlen(seen);

    (void)data;
    snprintf(seen + len, sizeof seen - len, "%s|%s|%lld|%s%s\n", c->id, c->name, c->created,
             label ? label : "-",
             c->dead      ? "|dead"
             : c->started ? ""
                          : "|never");
}

static void assert_list(const char *text, const char *expected)
{
    struct error *err = NULL;

    seen[0] = '\0';
    if (listing_read(text, note, NULL, &err) < 0)
        fail_msg("%s", error_text(err));
    assert_string_equal(seen, expected);
}

static void test_list(void **state)
{
    (void)state;
    assert_list("[]", "");
    assert_list("[{\"Id\":\"0a\",\"Names\":[\"/berth-x\"],\"Created\":1700000000,"
                "\"Labels\":{\"berth.uid\":\"2001\"}}]",
                "0a|berth-x|1700000000|2001\n");
    assert_list("[{\"Id\":\"0a\",\"State\":\"created\"},{\"Id\":\"0b\",\"State\":\"exited\"},"
                "{\"Id\":\"0c\",\"State\":7},{\"Id\":\"0d\",\"State\":\"dead\"}]",
                "0a||0|-|never\n0b||0|-\n0c||0|-\n0d||0|-|dead\n");
    /* Links give a container more names. */
    assert_list("[{\"Id\":\"0a\",\"Names\":[\"/other/alias\",\"/own\"]}]", "0a|own|0|-\n");
    assert_list("[{\"Id\":\"0a\",\"Names\":[],\"Labels\":null},{\"Id\":\"0b\"}]",
                "0a||0|-\n0b||0|-\n");
}

static void test_hostile_list(void **state)
{
    struct error *err = NULL;

    (void)state;
    /* An id goes into a path. */
    assert_list("[{\"Id\":\"../x\"},{\"Id\":\"\"},{\"Id\":5},{},null,[],\"0a\",7]", "");
    assert_list("[{\"Id\":\"0a\",\"Names\":{\"a\":1},\"Created\":\"now\",\"Labels\":[1]}]",
                "0a||0|-\n");
    assert_list("[{\"Id\":\"0a\",\"Names\":[7,null,\"noslash\",\"/\"],"
                "\"Labels\":{\"berth.uid\":2001}}]",
                "0a||0|-\n");
    static const char *const wrong[] = {"", "{}", "null", "[", "\"x\"", "<html>"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        assert_int_equal(listing_read(wrong[i], note, NULL, &err), -1);
        error_clear(&err);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_name_and_labels_agree),
        cmocka_unit_test(test_labels_of_no_berth),
        cmocka_unit_test(test_list),
        cmocka_unit_test(test_hostile_list),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
