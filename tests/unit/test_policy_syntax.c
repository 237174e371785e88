/* The file as text: comments, quotes, sections, and the line in every error. */
#include "config.h"

#include "test_policy.h"

static void test_refused(void **state)
{
    static const struct {
        const char *text, *error; /* after CONF and ":" */
    } cases[] = {
        {"x", "1: no such option 'x'"},
        {"# a\n// b\n/* c\nd */\n\nx = 1", "6: no such option 'x'"},
        {"user bob { # a\n image = x // b\n /* c */ imag = y\n}", "3: no such option 'imag'"},
        {"image = x", "1: no such option 'image'"},
        {"user bob { endpoint = \"unix:///x\" }", "1: no such option 'endpoint'"},
        {"user bob { user \"x\" {} }", "1: missing equal sign after option 'user'"},
        {"\nuser bob { image }", "2: missing equal sign after option 'image'"},
        {"user bob { image = }", "1: unexpected token '}'"},
        {"user bob { image = {\"x\"} }", "1: unexpected token '{'"},
        {"user bob { image += x }", "1: attempt to append to non-list option 'image'"},
        {"user bob { dns = {\"::1\"\n\"::2\"} }", "2: unexpected token '::2'"},
        {"user bob { image = x,\nshell = y }", "1: unexpected token ','"},
        {"user bob { image = x }\n}", "2: unexpected closing brace"},
        {"user { image = x }", "1: missing title for section 'user'"},
        {"defaults x { }", "1: missing opening brace for section 'defaults'"},
        {"engine", "1: premature end of file"},
        {"user bob {}\nuser \"bob\" {}", "2: found duplicate title 'bob'"},
        {"\nuser \"\" {\n}", "3: the user section that ends here has an empty name: give a login's "
                             "name or a pattern, as in \"student-*\""},
        {"user \"a\tb\" {}", "1: user \"a\\x09b\": has a control character, which is not allowed "
                             "here"},
        {"user bob {\n image = x\n image = y }", "3: image is said twice in one section"},
        {"defaults { image = x }\ndefaults { image = x }", "2: image is said twice in one section"},
        {"user bob { dns = \"::1\"\n dns = \"::2\" }",
         "2: dns is said twice in one section; \"+=\" adds to a list"},
        {"user bob {\n image = x\n", "1: \"{\" without an end: no \"}\" for it follows"},
        {"\nuser bob {\n dns = {\"::1\",\n", "3: \"{\" without an end: no \"}\" for it follows"},
        {"{{{{\n{{{{", "1: \"{\" without an end: no \"}\" for it follows"},
        {"user bob {\n image = \"x\n\n}", "2: string without an end: no \" follows"},
        {"user bob {\n image = 'x\n\n}", "2: string without an end: no ' follows"},
        {"user bob {\n image = \"x\\",
         "2: unknown escape \"\\\\\": there are \\\" \\\\ \\$ \\n and "
         "\\t; in '...' a backslash stands for itself"},
        {"user bob { image = 'x\\", "1: string without an end: no ' follows"},
        {"user bob {\n/* x\n}", "2: comment without an end: no \"*/\" follows"},
        {"user bob { /*/", "1: comment without an end: no \"*/\" follows"},
        {"user bob { image = \"a\\q\" }",
         "1: unknown escape \"\\\\q\": there are \\\" \\\\ \\$ \\n "
         "and \\t; in '...' a backslash stands for itself"},
        {"user bob { image = \"a\\0\" }",
         "1: unknown escape \"\\\\0\": there are \\\" \\\\ \\$ \\n "
         "and \\t; in '...' a backslash stands for itself"},
        {"user bob { image = \"${HOME}\" }", "1: \"${\" outside of '...': variables are not "
                                             "expanded here, write \"\\${\""},
        {"user bob { image = ${HOME} }", "1: \"${\" outside of '...': variables are not expanded "
                                         "here, write \"\\${\""},
        {"user bob { image = a${X:-b} }", "1: \"${\" outside of '...': variables are not expanded "
                                          "here, write \"\\${\""},
        {"user bob* { }", "1: stray \"*\": put the value in quotes"},
        {"user bob { image = a+b }", "1: stray \"+\": put the value in quotes"},
        {"user bob { image = a\\b }", "1: stray \"\\\\\": put the value in quotes"},
        {"engine|endpoint = x", "1: stray \"|\": put the value in quotes"},
        {"user bob {}\n\"user=bob|image\" = x",
         "2: a \"=\" cannot be in a string outside of sections"},
        {"\"engine|endpoint\" = x", "1: a \"|\" cannot be in a string outside of sections"},
        {"user bob { (x) }", "1: unexpected token '('"},
        {"include(\"/etc/passwd\")", "1: no such option 'include'"},
        {"\"\" = x", "1: cannot be parsed"},
        {"\nuser b\xffob {}", "2: not valid UTF-8"},
        {"\nuser bob { banner = \"\xc3\" }", "2: not valid UTF-8"},
        {"\n\n\x7f"
         "ELF",
         "3: byte \\x7f: is this a text file?"},
        {"# comment \x1b[2J", "1: byte \\x1b: is this a text file?"},
    };
    char expected[512];

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        snprintf(expected, sizeof expected, CONF ":%s", cases[i].error);
        assert_refused(cases[i].text, &alice, expected);
        /* Nothing of a failed parse is left for the next one. */
        cleanup_policy struct policy *p = policy_for("user alice { image = x }", &alice);
        assert_string_equal(p->image, "x");
    }
}

static void test_nul(void **state)
{
    static const char text[] = "user alice { image = x }\n\0\n";
    struct error *err = NULL;

    (void)state;
    assert_null(policy_try(text, sizeof text - 1, &alice, &err));
    assert_string_equal(error_text(err), CONF ":2: byte \\x00: is this a text file?");
    error_clear(&err);
}

static void test_taken(void **state)
{
    static const struct {
        const char *text, *image;
    } cases[] = {
        {"user alice{image=x}", "x"},
        {"user\n'alice'\n{\nimage\n=\n'x'\n}\n", "x"},
        {"user alice { image = x # y\n}", "x"},
        {"user alice { image = x#y\n}", "x"},
        {"user alice { image = a//b\n}", "a//b"},
        {"user alice { image = a /* } \" */ }", "a"},
        {"user alice { image = \"a#b//c/*d*/\" }", "a#b//c/*d*/"},
        {"user alice { image = 'a\\b\\'c${d}' }", "a\\b'c${d}"},
        {"user alice { image = \"a\\\\\\\"\\${b}\" }", "a\\\"${b}"},
        {"user alice { image = \"a\\\nb\" }", "ab"},
        {"user alice {\r\n image = x\r\n}\r\n", "x"},
        {"// \xff\xfe is no harm in a comment\nuser alice { image = x }", "x"},
        {"/**/user alice { image = x }/***/", "x"},
        {"user alice { image = x dns = {\"::1\",} }", "x"},
        {"user \"a|b\" {} user alice { image = x }", NULL},
        {"defaults { } defaults { image = y } user alice { }", "y"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        if (!cases[i].image) {
            assert_refused(cases[i].text, &alice,
                           CONF ":1: a \"|\" cannot be in a string outside of sections");
            continue;
        }
        cleanup_policy struct policy *p = policy_for(cases[i].text, &alice);
        assert_string_equal(p->image, cases[i].image);
    }
}

/* libconfuse would read them; nothing of the environment may reach the policy. */
static void test_environment(void **state)
{
    (void)state;
    assert_int_equal(setenv("BERTH_TEST", "evil", 1), 0);
    cleanup_policy struct policy *p = policy_for(
        "user alice { image = \"$BERTH_TEST\" banner = '${BERTH_TEST} ~' }", &alice);
    assert_string_equal(p->image, "$BERTH_TEST");
    assert_string_equal(p->banner, "${BERTH_TEST} ~");
    unsetenv("BERTH_TEST");
}

/* 2,000 sections and a deep pile of braces: slow or crashing would be a defect. */
static void test_large(void **state)
{
    enum { SECTIONS = 2000, DEEP = 500000 };
    char *text = malloc(DEEP + 64), *end = text;

    (void)state;
    assert_non_null(text);
    for (int i = 0; i < SECTIONS; i++)
        end += sprintf(end, "user u%d { pids = %d }\n", i, i + 1);
    sprintf(end, "user \"*\" { image = x }");
    static const struct account last = {
        .name = (char *)"u1999", .home = (char *)"/", .uid = 1, .gid = 1};
    cleanup_policy struct policy *p = policy_for(text, &last);
    assert_int_equal(p->pids, 2000);

    memset(text, '{', DEEP);
    memset(text + DEEP / 2, '}', DEEP / 2);
    text[DEEP] = '\0';
    assert_refused(text, &alice, CONF ":1: unexpected token '{'");
    memset(text, 'a', DEEP);
    struct error *err = NULL;
    assert_null(policy_try(text, DEEP, &alice, &err));
    assert_true(strlen(error_text(err)) < 300);
    error_clear(&err);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_refused), cmocka_unit_test(test_nul),
        cmocka_unit_test(test_taken),   cmocka_unit_test(test_environment),
        cmocka_unit_test(test_large),
    };

    return cmocka_run_group_tests_name("policy syntax", tests, NULL, NULL);
}
