/* What `berth explain` and pam_berth ask of berth.conf: where each value comes from,
 * and whether a login is mapped at all. Needs root: only root's files are read. */
#include "config.h"

#include "test_policy.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[] = "/root/berth-trace-XXXXXX";
static char conf[sizeof folder + sizeof "/berth.conf"];

static const char *const staff_names[] = {"users", "staff", NULL};
static const struct strings staff = {.items = (char **)staff_names, .count = 2};
static const struct account bea = {
    .name = (char *)"bea", .home = (char *)"/home/bea", .uid = 2003, .gid = 2003, .groups = &staff};

static int setup(void **state)
{
    (void)state;
    if (getuid() != 0)
        return 0;
    if (!mkdtemp(folder))
        return -1;
    snprintf(conf, sizeof conf, "%s/berth.conf", folder);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    if (getuid() != 0)
        return 0;
    unlink(conf);
    return rmdir(folder);
}

static void conf_write(const char *text)
{
    if (getuid() != 0) {
        print_message("skipped: only root's files are read\n");
        skip();
    }
    unlink(conf);
    int fd = open(conf, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
}

/* Of these options alone: of all others there is a built-in too many. */
static bool concerns(const char *option)
{
    static const char *const names[] = {"runtime_dir", "endpoint", "image",      "network", "dns",
                                        "pids",        "cap_drop", "accept_env", "inherit", "home"};

    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(names[i], option) == 0)
            return true;
    return false;
}

/* "group staff:9 dns+=2.2.2.2" */
static void note(void *data, const struct policy_origin *origin)
{
    struct text *seen = data;

    assert_non_null(origin->section);
    if (!concerns(origin->option))
        return;
    if (origin->line == 0)
        text_puts(seen, "built-in");
    else
        text_printf(seen, "%s%s%s:%u", origin->section, origin->title ? " " : "",
                    origin->title ? origin->title : "", origin->line);
    text_printf(seen, " %s%s%s\n", origin->option, origin->list ? "+=" : "=", origin->value);
}

static void assert_trace(const char *text, const struct account *account, const char *expected)
{
    cleanup_text struct text seen = {0};
    struct error *err = NULL;

    conf_write(text);
    cleanup_policy struct policy *p = policy_load_traced(conf, account, note, &seen, &err);
    if (!p)
        fail_msg("%s", error_text(err));
    assert_string_equal(text_str(&seen), expected);
}

static void test_origins(void **state)
{
    (void)state;
    assert_trace("runtime_dir = \"/run/x\"\n"                    /* 1 */
                 "user \"b*\" { pids = 3\n"                      /* 2 */
                 "  dns = \"3.3.3.3\" }\n"                       /* 3 */
                 "group staff { image = \"i-%u\"\n"              /* 4 */
                 "  dns = \"2.2.2.2\" cap_drop = {} }\n"         /* 5 */
                 "group others { image = z dns = \"9.9.9.9\"}\n" /* 6 */
                 "defaults {\n"                                  /* 7 */
                 "  image = a pids = 1 home = \"/h/%u\"\n"       /* 8 */
                 "  dns = {\"1.1.1.1\",\n"                       /* 9 */
                 "         \"::1\"} }\n",                        /* 10 */
                 &bea,
                 ":1 runtime_dir=/run/x\n"
                 "built-in endpoint=unix:///run/docker.sock\n"
                 "group staff:4 image=i-%u\n"
                 "built-in network=none\n"
                 "defaults:9 dns+=1.1.1.1\n"
                 "defaults:10 dns+=::1\n"
                 "group staff:5 dns+=2.2.2.2\n"
                 "user b*:3 dns+=3.3.3.3\n"
                 "defaults:8 home=/h/%u\n"
                 "user b*:2 pids=3\n"
                 "built-in accept_env+=LANG\n"
                 "built-in accept_env+=LC_*\n"
                 "built-in accept_env+=COLORTERM\n"
                 "built-in accept_env+=TZ\n");
}

/* What stands before it is told of no more, and the built-ins are back. */
static void test_origins_after_a_cut(void **state)
{
    (void)state;
    assert_trace("engine { endpoint = \"unix:///e\" }\n"                    /* 1 */
                 "defaults { image = a pids = 1 dns = \"1.1.1.1\"\n"        /* 2 */
                 "  accept_env = X home = v cap_drop = {MKNOD} }\n"         /* 3 */
                 "group staff { inherit = no image = b dns = \"2.2.2.2\"\n" /* 4 */
                 "  accept_env = {} }\n"                                    /* 5 */
                 "user bea { dns = {\"3.3.3.3\"} network = bridge }\n",     /* 6 */
                 &bea,
                 "built-in runtime_dir=" BERTH_RUNTIMEDIR "\n"
                 "engine:1 endpoint=unix:///e\n"
                 "group staff:4 inherit=no\n"
                 "group staff:4 image=b\n"
                 "user bea:6 network=bridge\n"
                 "group staff:4 dns+=2.2.2.2\n"
                 "user bea:6 dns+=3.3.3.3\n"
                 "built-in pids=256\n"
                 "built-in cap_drop+=ALL\n");
}

/* The one at fault is told of before the error is. */
static void test_origins_up_to_an_error(void **state)
{
    cleanup_text struct text seen = {0};
    struct error *err = NULL;
    struct account odd = bea;

    (void)state;
    odd.name = (char *)"a/b";
    conf_write("defaults { image = x }\nuser \"*\" { image = \"i-%u\" }\n");
    assert_null(policy_load_traced(conf, &odd, note, &seen, &err));
    assert_non_null(strstr(error_text(err), "berth.conf:2: image \"i-%u\": "));
    error_clear(&err);
    const char *end = strstr(text_str(&seen), "user *:2 image=i-%u\n");
    assert_non_null(end);
    assert_string_equal(end, "user *:2 image=i-%u\n");
}

static void assert_maps(const char *text, const struct account *account, int expected)
{
    struct error *err = NULL;

    conf_write(text);
    assert_int_equal(policy_maps(conf, account, &err), expected);
    if (expected < 0)
        assert_non_null(strstr(error_text(err), conf));
    else
        assert_null(err);
    error_clear(&err);
}

static void test_maps(void **state)
{
    /* NSS is asked, and knows of the primary group alone. */
    static const struct account stranger = {
        .name = (char *)"berth-nosuch", .home = (char *)"/", .uid = 4242, .gid = 0};
    struct error *err = NULL;

    (void)state;
    assert_maps("user \"b?a\" { }", &bea, 1);
    assert_maps("group \"st*\" { }", &bea, 1);
    assert_maps("user bob { } group others { } defaults { image = x }", &bea, 0);
    assert_maps("", &bea, 0);
    /* Being refused is something else than not being meant. */
    assert_maps("group staff { inherit = no deny = \"no\" }", &bea, 1);
    assert_maps("group root { }", &stranger, 1);
    assert_maps("group \"berth-nosuch-*\" { }", &stranger, 0);
    assert_maps("user bea { imag = x }", &bea, -1);
    assert_maps("user bea {", &bea, -1);
    assert_int_equal(unlink(conf), 0);
    assert_int_equal(policy_maps(conf, &bea, &err), -1);
    assert_non_null(strstr(error_text(err), "No such file"));
    error_clear(&err);
}

static void take_section(void *data, const char *kind, const char *title, bool counts)
{
    text_printf(data, "%s %s%s\n", kind, title, counts ? "" : " (cut)");
}

static void assert_sections(const char *text, const char *expected)
{
    cleanup_text struct text seen = {0};
    struct error *err = NULL;

    conf_write(text);
    assert_int_equal(policy_sections(conf, &bea, take_section, &seen, &err), 0);
    assert_null(err);
    assert_string_equal(text_str(&seen), expected);
}

static void test_sections(void **state)
{
    struct error *err = NULL;

    (void)state;
    assert_sections("user bea { } group staff { } user \"*\" { } user bob { } group \"u*\" { }",
                    "group staff\ngroup u*\nuser bea\nuser *\n");
    assert_sections("group staff { } user bea { inherit = no } user \"b*\" { inherit = yes }",
                    "group staff (cut)\nuser bea\nuser b*\n");
    assert_sections("user bea { inherit = no } user \"b*\" { inherit = no }",
                    "user bea (cut)\nuser b*\n");
    assert_sections("user bob { }", "");
    conf_write("user bea {");
    assert_int_equal(policy_sections(conf, &bea, take_section, NULL, &err), -1);
    assert_non_null(strstr(error_text(err), conf));
    error_clear(&err);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_origins),
        cmocka_unit_test(test_origins_after_a_cut),
        cmocka_unit_test(test_origins_up_to_an_error),
        cmocka_unit_test(test_maps),
        cmocka_unit_test(test_sections),
    };

    return cmocka_run_group_tests_name("policy's origins", tests, setup, teardown);
}
