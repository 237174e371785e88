#include "config.h"

#include "base/capture.h"
#include "check/finding.h"
#include "check/nsswitch.h"
#include "check/pam.h"
#include "check/ports.h"
#include "check/sshd.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

/* --- sshd -T */

static struct sshd_settings settings_of(const char *text)
{
    struct sshd_settings settings;
    struct error *err = NULL;

    if (sshd_parse(&settings, text, &err) < 0)
        fail_msg("%s", error_text(err));
    return settings;
}

static void test_settings(void **state)
{
    struct sshd_settings s = settings_of("port 22\n"
                                         "forcecommand exec /usr/libexec/berth/berth-session\n"
                                         "acceptenv LANG\n"
                                         "acceptenv LC_*\n"
                                         "setenv HOME=/nonexistent\n"
                                         "banner\n"
                                         "\n"
                                         "X11Forwarding yes\n"
                                         "subsystem sftp internal-sftp -f AUTH");

    (void)state;
    assert_string_equal(sshd_get(&s, "ForceCommand", 0), "exec /usr/libexec/berth/berth-session");
    assert_string_equal(sshd_get(&s, "acceptenv", 0), "LANG");
    assert_string_equal(sshd_get(&s, "acceptenv", 1), "LC_*");
    assert_null(sshd_get(&s, "acceptenv", 2));
    assert_null(sshd_get(&s, "accept", 0));
    assert_string_equal(sshd_get(&s, "banner", 0), "");
    assert_string_equal(sshd_get(&s, "subsystem", 0), "sftp internal-sftp -f AUTH");
    assert_true(sshd_is(&s, "x11forwarding", "yes"));
    assert_false(sshd_is(&s, "x11forwarding", "no"));
    assert_false(sshd_is(&s, "nothing", ""));
    sshd_free(&s);
}

static void test_no_settings(void **state)
{
    static const char *const wrong[] = {"", "\n\n\n", "usage: sshd [-46DdeGiqTtV]\n", "PORTS 22\n"};

    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct sshd_settings settings;
        struct error *err = NULL;
        assert_int_equal(sshd_parse(&settings, wrong[i], &err), -1);
        assert_string_equal(error_text(err), "sshd -T doesn't print an sshd's settings");
        error_clear(&err);
        sshd_free(&settings);
    }
}

static void test_settings_without_end(void **state)
{
    struct sshd_settings settings;
    struct error *err = NULL;
    size_t lines = 30000;
    char *text = malloc(lines * 3 + 1);

    (void)state;
    assert_non_null(text);
    for (size_t i = 0; i < lines; i++)
        memcpy(text + 3 * i, "a \n", 3);
    text[3 * lines] = '\0';
    assert_int_equal(sshd_parse(&settings, text, &err), -1);
    assert_string_equal(error_text(err), "sshd -T prints more than 20000 lines");
    error_clear(&err);
    sshd_free(&settings);
    free(text);
}

static void test_user_names_for_sshd(void **state)
{
    static const char *const wrong[] = {"", "a,addr=10.0.0.1", "a\nb", "\x7f"};

    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct sshd_settings settings;
        struct error *err = NULL;
        assert_int_equal(sshd_ask(&settings, NULL, wrong[i], &err), -1);
        assert_string_equal(error_text(err), "sshd can't be asked about this name");
        error_clear(&err);
    }
}

static void assert_through(const char *patterns, const char *expected)
{
    const char *name = NULL;

    if (sshd_lets_through(patterns, &name) != (expected != NULL))
        fail_msg("%s: %s", patterns, name ? name : "lets nothing through");
    if (expected)
        assert_string_equal(name, expected);
}

static void test_wide_patterns(void **state)
{
    (void)state;
    assert_through("LANG LC_*", NULL);
    assert_through("LANG,LC_*,COLORTERM TZ", NULL);
    assert_through("", NULL);
    assert_through("  ,", NULL);
    assert_through("*", "LD_PRELOAD");
    assert_through("?*", "LD_PRELOAD");
    assert_through("LANG L*", "LD_PRELOAD");
    assert_through("LD_A*", "LD_AUDIT");
    assert_through("LANG LD_PRELOAD", "LD_PRELOAD");
    assert_through("BASH_FUNC_*", "BASH_FUNC_x%%");
    assert_through("*_LIBRARY_*", "LD_LIBRARY_PATH");
    assert_through("EN?", "ENV");
    assert_through("????????????????", NULL); /* none has sixteen */
}

static void test_internal_sftp(void **state)
{
    (void)state;
    assert_true(sshd_is_internal_sftp("internal-sftp"));
    assert_true(sshd_is_internal_sftp("internal-sftp -f AUTH"));
    assert_false(sshd_is_internal_sftp("internal-sftpx"));
    assert_false(sshd_is_internal_sftp("/usr/lib/openssh/sftp-server"));
    assert_false(sshd_is_internal_sftp(""));
}

/* --- PAM */

static char dir[] = "/tmp/berth-test-pam.XXXXXX";

static int make_dir(void **state)
{
    (void)state;
    return mkdtemp(dir) ? 0 : -1;
}

static int remove_dir(void **state)
{
    static const char *const files[] = {"sshd", "one", "two", "three", "link"};
    char path[128];

    (void)state;
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        snprintf(path, sizeof path, "%s/%s", dir, files[i]);
        unlink(path);
    }
    return rmdir(dir);
}

static void put(const char *name, const char *text)
{
    char path[128];

    snprintf(path, sizeof path, "%s/%s", dir, name);
    FILE *f = fopen(path, "we");
    assert_non_null(f);
    assert_int_equal(fwrite(text, 1, strlen(text), f), strlen(text));
    assert_int_equal(fclose(f), 0);
}

static struct stacks stacks_of(const char *text)
{
    struct stacks stacks;
    struct error *err = NULL;

    put("sshd", text);
    if (stacks_read(&stacks, dir, "sshd", &err) < 0)
        fail_msg("%s", error_text(err));
    return stacks;
}

/* "control module args|..." of one type. */
static void assert_stack(const struct stacks *stacks, enum stack_type type, const char *expected)
{
    const struct stack *stack = &stacks->types[type];
    struct text seen = {0};

    for (size_t i = 0; i < stack->count; i++) {
        const struct stack_entry *e = &stack->entries[i];
        text_printf(&seen, "%s%u %s %s", i ? "|" : "", e->level, e->control,
                    e->module ? e->module : "-");
        for (size_t j = 0; j < e->arguments.count; j++)
            text_printf(&seen, " %s", e->arguments.items[j]);
    }
    assert_string_equal(text_str(&seen), expected);
    text_free(&seen);
}

static void test_stack(void **state)
{
    struct stacks s = stacks_of("# comment\n"
                                "\n"
                                "auth\trequired  pam_env.so # more\n"
                                "  -session [success=ok default=bad]   /lib/x/pam_selinux.so a b\n"
                                "SESSION optional pam_env.so \\\n"
                                "   user_readenv=1 \\\n"
                                "   envfile=/etc/default/locale\n"
                                "account [a=b [c] pam_x.so [with blanks] \\#no\n"
                                "session required pam_last.so");

    (void)state;
    assert_stack(&s, STACK_AUTH, "0 required pam_env.so");
    assert_stack(&s, STACK_SESSION,
                 "0 [success=ok default=bad] pam_selinux.so a b|"
                 "0 optional pam_env.so user_readenv=1 envfile=/etc/default/locale|"
                 "0 required pam_last.so");
    assert_stack(&s, STACK_PASSWORD, "");
    assert_int_equal(s.types[STACK_SESSION].entries[1].line, 5);
    assert_int_equal(s.types[STACK_SESSION].entries[2].line, 9);
    assert_string_equal(stack_argument(&s.types[STACK_SESSION].entries[1], "user_readenv"), "1");
    assert_null(stack_argument(&s.types[STACK_SESSION].entries[1], "user"));
    stacks_free(&s);
}

static void test_includes(void **state)
{
    (void)state;
    put("one", "auth required pam_a.so\nsession required pam_b.so\n@include two\n");
    put("two", "session required pam_c.so\nauth required pam_d.so\n");
    struct stacks s = stacks_of("@include one\n"
                                "session include two\n"
                                "session substack one\n"
                                "session required pam_e.so\n");
    assert_stack(&s, STACK_AUTH, "0 required pam_a.so|0 required pam_d.so");
    assert_stack(&s, STACK_SESSION,
                 "0 required pam_b.so|0 required pam_c.so|0 required pam_c.so|0 substack -|"
                 "1 required pam_b.so|1 required pam_c.so|0 required pam_e.so");
    stacks_free(&s);
}

static void assert_no_stack(const char *text, const char *expected)
{
    struct stacks stacks;
    struct error *err = NULL;
    char full[256];

    if (text)
        put("sshd", text);
    assert_int_equal(stacks_read(&stacks, dir, text ? "sshd" : "nothing", &err), -1);
    snprintf(full, sizeof full, "%s/%s", dir, expected);
    if (strncmp(error_text(err), full, strlen(full)) != 0)
        fail_msg("wanted %s, saw %s", full, error_text(err));
    error_clear(&err);
    stacks_free(&stacks);
}

static void test_wrong_stacks(void **state)
{
    (void)state;
    assert_no_stack("auth\n", "sshd:1: a line without a control");
    assert_no_stack("\nauth required\n", "sshd:2: a line without a module");
    assert_no_stack("auth required pam_a.so\nnothing required pam_b.so\n",
                    "sshd:2: is no line of a PAM stack");
    assert_no_stack("@include\n", "sshd:1: @include of nothing");
    assert_no_stack("@include nothing\n", "sshd:1: ");
    assert_no_stack("@include sshd\n", "sshd:1: more than 16 files include one another");
    assert_no_stack("auth substack sshd\n", "sshd:1: more than 16 files include one another");
    assert_no_stack(NULL, "nothing: cannot read: No such file");
    put("one", "session required pam_a.so\nsession required pam_a.so\n");
    put("two", "@include one\n@include one\n@include one\n@include one\n@include one\n"
               "@include one\n@include one\n@include one\n@include one\n@include one\n");
    put("three", "@include two\n@include two\n@include two\n@include two\n@include two\n"
                 "@include two\n@include two\n@include two\n@include two\n@include two\n");
    assert_no_stack("@include three\n@include three\n@include three\n@include three\n"
                    "@include three\n@include three\n@include three\n@include three\n"
                    "@include three\n@include three\n@include three\n",
                    "one:1: more than 2000 modules");
}

static void test_files_that_are_none(void **state)
{
    struct stacks stacks;
    struct error *err = NULL;
    char path[128];

    (void)state;
    snprintf(path, sizeof path, "%s/link", dir);
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_no_stack("@include link\n", "sshd:1: ");
    unlink(path);
    assert_int_equal(symlink("/dev/zero", path), 0);
    assert_no_stack("@include link\n", "sshd:1: ");
    assert_int_equal(stacks_read(&stacks, dir, "..", &err), -1);
    error_clear(&err);
    stacks_free(&stacks);
}

/* Who keeps pam_berth from its turn: "line" or "". */
static void assert_skips(const char *text, unsigned line)
{
    struct stacks s = stacks_of(text);
    const struct stack *stack = &s.types[STACK_SESSION];
    size_t at = stack_find(stack, "pam_berth.so", 0);

    assert_true(at < stack->count);
    const struct stack_entry *e = stack_skips(stack, at);
    if ((e ? e->line : 0) != line)
        fail_msg("%s: wanted line %u, saw %u", text, line, e ? e->line : 0);
    stacks_free(&s);
}

#define BERTH "session required pam_berth.so\n"

static void test_skipped(void **state)
{
    (void)state;
    assert_skips(BERTH, 0);
    assert_skips(BERTH "session sufficient pam_a.so\n", 0);
    assert_skips("session sufficient pam_a.so\n" BERTH, 1);
    assert_skips("session SUFFICIENT pam_a.so\n" BERTH, 1);
    assert_skips("session required pam_a.so\nsession optional pam_b.so\n"
                 "session requisite pam_c.so\n" BERTH,
                 0);
    assert_skips("session [success=done default=ignore] pam_a.so\n" BERTH, 1);
    assert_skips("session [default=ignore Success=Done] pam_a.so\n" BERTH, 1);
    assert_skips("session [default=done] pam_a.so\n" BERTH, 1);
    /* Success is named, the default is for the rest. */
    assert_skips("session [success=ok default=done] pam_a.so\n" BERTH, 0);
    assert_skips("session [success=1 default=ignore] pam_a.so\n" BERTH, 1);
    assert_skips(
        "session [success=1 default=ignore] pam_a.so\nsession requisite pam_deny.so\n" BERTH, 0);
    assert_skips(
        "session [success=2 default=ignore] pam_a.so\nsession requisite pam_deny.so\n" BERTH, 1);
    assert_skips(
        "session [success=999 default=ignore] pam_a.so\nsession requisite pam_b.so\n" BERTH, 1);
    assert_skips("session [success=0] pam_a.so\n" BERTH, 0);
    assert_skips("session [success=-1] pam_a.so\n" BERTH, 0);
    assert_skips("session [success=1x] pam_a.so\n" BERTH, 0);
    assert_skips("session [success=11111111111111111111111111] pam_a.so\n" BERTH, 0);
    assert_skips("session [success] pam_a.so\n" BERTH, 0);
    assert_skips("session [] pam_a.so\n" BERTH, 0);
    assert_skips("auth sufficient pam_a.so\n" BERTH, 0);
}

static void test_skipped_by_a_substack(void **state)
{
    (void)state;
    put("one", "session sufficient pam_a.so\n");
    /* A substack's end isn't the stack's, an included file's is. */
    assert_skips("session substack one\n" BERTH, 0);
    assert_skips("session include one\n" BERTH, 1);
    assert_skips("@include one\n" BERTH, 1);
    put("one", "session sufficient pam_a.so\n" BERTH);
    assert_skips("session substack one\n", 1);
    /* One substack is one module for a jump. */
    put("one", "session required pam_a.so\nsession required pam_b.so\n");
    assert_skips("session [success=1] pam_a.so\nsession substack one\n" BERTH, 0);
    assert_skips("session [success=2] pam_a.so\nsession substack one\n" BERTH, 1);
    put("one", "session [success=5] pam_a.so\n");
    assert_skips("session substack one\n" BERTH, 0);
}

/* The same of all that a module may say. */
static void assert_may_skip(const char *before, unsigned line)
{
    cleanup_string char *text = text_format("%s" BERTH, before);
    struct stacks s = stacks_of(text);
    const struct stack *stack = &s.types[STACK_SESSION];
    const struct stack_entry *e = stack_may_skip(stack, stack_find(stack, "pam_berth.so", 0));

    if ((e ? e->line : 0) != line)
        fail_msg("%s: wanted line %u, saw %u", before, line, e ? e->line : 0);
    stacks_free(&s);
}

static void test_may_skip(void **state)
{
    (void)state;
    assert_may_skip("", 0);
    assert_may_skip("session required pam_a.so\nsession optional pam_b.so\n", 0);
    assert_may_skip("session sufficient pam_a.so\n", 1);
    assert_may_skip("session [success=done default=ignore] pam_a.so\n", 1);
    assert_may_skip("session [default=done] pam_a.so\n", 1);
    /* What ends the stack by a failure leaves it failed, but "ignore" is none. */
    assert_may_skip("session [success=ok ignore=ignore default=done] pam_a.so\n", 0);
    assert_may_skip("session [success=ok session_err=done default=bad] pam_a.so\n", 0);
    assert_may_skip("session [success=ok default=done] pam_a.so\n", 1);
    assert_may_skip("session [success=ok ignore=done default=bad] pam_a.so\n", 1);
    /* A jump isn't a failure, whatever it was for. */
    assert_may_skip("session [success=ok session_err=1 default=bad] pam_a.so\n", 1);
    assert_may_skip("session [default=1] pam_a.so\n", 1);
    assert_may_skip("session [default=1] pam_a.so\nsession requisite pam_deny.so\n", 0);
    assert_may_skip("session [success=1 default=2] pam_a.so\nsession required pam_b.so\n", 1);
    assert_may_skip("session required pam_a.so\nsession [success=3] pam_b.so\n"
                    "session sufficient pam_c.so\n",
                    2);
    assert_may_skip("session required pam_a.so\nsession sufficient pam_b.so\n"
                    "session [user_unknown=9] pam_c.so\n",
                    2);
    put("one", "session [success=ok default=done] pam_a.so\nsession [default=5] pam_b.so\n");
    assert_may_skip("session substack one\n", 0);
    assert_may_skip("session include one\n", 1);
}

static void assert_forgets(const char *text, unsigned line)
{
    struct stacks s = stacks_of(text);
    const struct stack *stack = &s.types[STACK_SESSION];
    const struct stack_entry *e = stack_forgets(stack, stack_find(stack, "pam_berth.so", 0));

    if ((e ? e->line : 0) != line)
        fail_msg("%s: wanted line %u, saw %u", text, line, e ? e->line : 0);
    stacks_free(&s);
}

static void test_forgets(void **state)
{
    (void)state;
    assert_forgets(BERTH, 0);
    assert_forgets("session [success=reset] pam_a.so\n" BERTH, 0);
    assert_forgets(BERTH "session required pam_a.so\nsession [default=reset] pam_b.so\n", 3);
    /* A substack takes back what was said in it. */
    put("one", "session [default=reset] pam_a.so\n");
    assert_forgets(BERTH "session substack one\n", 0);
    put("one", BERTH "session [success=reset] pam_a.so\n");
    assert_forgets("session substack one\n", 2);
    put("one", BERTH);
    assert_forgets("session substack one\nsession [Success=Reset] pam_a.so\n", 2);
}

static void test_lenient(void **state)
{
    struct stacks s = stacks_of("-session required pam_a.so b forwarding\n"
                                "session required pam_b.so forwardings\n");
    const struct stack_entry *e = s.types[STACK_SESSION].entries;

    (void)state;
    assert_true(e[0].lenient && !e[1].lenient);
    assert_true(stack_has_word(&e[0], "forwarding"));
    assert_false(stack_has_word(&e[1], "forwarding"));
    stacks_free(&s);
}

static void test_counts(void **state)
{
    struct stacks s = stacks_of("account required pam_a.so\n"
                                "account Requisite pam_a.so\n"
                                "account optional pam_a.so\n"
                                "account sufficient pam_a.so\n"
                                "account [success=ok ignore=ignore default=bad] pam_a.so\n"
                                "account [success=ok default=die] pam_a.so\n"
                                "account [success=ok default=ignore] pam_a.so\n"
                                "account [success=ok] pam_a.so\n"
                                "account [success=ok session_err=ignore default=bad] pam_a.so\n"
                                "account [success=ok perm_denied=die default=bad] pam_a.so\n"
                                "account [success=ok module_unknown=1 default=bad] pam_a.so\n"
                                "account [default=bad default=ok] pam_a.so\n");
    static const bool expected[] = {true,  true,  false, false, true,  true,
                                    false, false, false, true,  false, false};

    (void)state;
    for (size_t i = 0; i < sizeof expected / sizeof *expected; i++)
        assert_int_equal(stack_entry_counts(&s.types[STACK_ACCOUNT].entries[i]), expected[i]);
    stacks_free(&s);
}

/* --- nsswitch.conf */

static void assert_foreign(const char *text, const char *database, const char *expected)
{
    cleanup_strings struct strings modules = {0};
    cleanup_text struct text seen = {0};

    assert_int_equal(nsswitch_find_foreign(&modules, text, database), 0);
    for (size_t i = 0; i < modules.count; i++)
        text_printf(&seen, "%s%s", i ? " " : "", modules.items[i]);
    assert_string_equal(text_str(&seen), expected);
}

static void test_nsswitch(void **state)
{
    static const char text[] = "# passwd: nis\n"
                               "passwd:files [NOTFOUND=return] nis [UNAVAIL=continue]hesiod#db x\n"
                               "  group :\tcompat sss systemd winbind mymachines  \n"
                               "shadow: files\n"
                               "passwd_compat: nisplus\n"
                               "hosts: files mdns4_minimal [NOTFOUND=return] dns mdns4 resolve\n"
                               "networks dns\n"
                               "group: files files nisplus nis nis mdn filesx\n"
                               "initgroups: [broken";

    (void)state;
    assert_foreign(text, "passwd", "nis hesiod");
    assert_foreign(text, "group", "nisplus nis mdn filesx");
    assert_foreign(text, "shadow", "");
    assert_foreign(text, "hosts", "dns");
    assert_foreign(text, "networks", "");
    assert_foreign(text, "initgroups", "");
    assert_foreign(text, "gshadow", "");
    assert_foreign("", "passwd", "");
    assert_foreign("passwd", "passwd", "");
    assert_foreign("passwd:", "passwd", "");
    assert_foreign("passwd: nis", "passwd", "nis");
}

/* --- forwarded ports */

#define SHUT       "disableforwarding yes\nallowtcpforwarding no\n"
#define OPEN       "disableforwarding no\nallowtcpforwarding yes\n"
#define FORWARDING "session required pam_berth.so forwarding\n"

struct login {
    const char *sshd, *stack; /* NULL: it isn't known */
    bool forwarding, unmapped, other_shell;
    const char *host, *deny;
};

/* What is found of him, "hole sshd-tcp-forwarding", the first one's text in `what`;
 * but for what this machine's nsswitch.conf has. */
static void look(const struct login *login, struct text *seen, struct text *what)
{
    struct policy policy = {
        .forwarding = login->forwarding,
        .deny = (char *)login->deny,
        .engine = {.host = (char *)login->host, .endpoint = (char *)"tcp://engine:2376"}};
    struct subject s = {.policy = login->unmapped ? NULL : &policy,
                        .unmapped = login->unmapped,
                        .by_shell = !login->other_shell,
                        .forced = true};
    cleanup_string char *text = text_format("port 22\nusepam yes\n%s", login->sshd);
    struct check check = {0};
    struct stacks stacks = {0};

    s.person.account = (struct account){.name = (char *)"anna", .uid = 2001};
    s.sshd = settings_of(text);
    if (login->stack)
        stacks = stacks_of(login->stack);
    ports_look(&s, login->stack ? &stacks : NULL, &check);
    assert_false(check.findings.failed);
    for (size_t i = 0; i < check.findings.count; i++) {
        const struct finding *f = &check.findings.items[i];
        assert_true(f->why[0] && f->mend[0]);
        assert_string_equal(f->users.items[0], "anna");
        if (strncmp(f->id, "nss-", 4) == 0)
            continue;
        text_printf(seen, "%s%s %s", seen->len ? ", " : "", finding_severity_name(f->severity),
                    f->id);
        text_printf(what, "%s", what->len ? "" : f->what);
    }
    findings_free(&check.findings);
    sshd_free(&s.sshd);
    stacks_free(&stacks);
}

static void assert_found(const struct login *login, const char *expected, const char *part)
{
    cleanup_text struct text seen = {0}, what = {0};

    look(login, &seen, &what);
    if (strcmp(text_str(&seen), expected) != 0 || !strstr(text_str(&what), part))
        fail_msg("%s%s: wanted %s (%s), saw %s (%s)", login->sshd, login->stack, expected, part,
                 text_str(&seen), text_str(&what));
}

#define FOUND(expected, part, ...) assert_found(&(struct login){__VA_ARGS__}, expected, part)

static void test_ports_shut(void **state)
{
    (void)state;
    FOUND("", "", .sshd = SHUT, .stack = BERTH);
    FOUND("", "", .sshd = SHUT, .stack = "");
    FOUND("", "", .sshd = SHUT, .stack = NULL);
    FOUND("", "", .sshd = SHUT, .stack = "", .unmapped = true);
    FOUND("", "", .sshd = "disableforwarding yes\nallowtcpforwarding yes\n", .stack = BERTH);
    FOUND("", "", .sshd = SHUT, .stack = FORWARDING);
    FOUND("note sshd-tcp-shut", "AllowTcpForwarding is no", .sshd = SHUT, .stack = BERTH,
          .forwarding = true);
    FOUND("note sshd-tcp-shut", "DisableForwarding is yes",
          .sshd = "disableforwarding yes\nallowtcpforwarding yes\n", .stack = BERTH,
          .forwarding = true);
    FOUND("note sshd-tcp-shut, problem forwarding-no-pam", "", .sshd = SHUT, .stack = "",
          .forwarding = true);
    FOUND("note sshd-tcp-shut", "", .sshd = SHUT, .stack = NULL, .forwarding = true);
    FOUND("", "", .sshd = SHUT, .stack = "", .forwarding = true, .deny = "no");
}

static void test_ports_open(void **state)
{
    (void)state;
    FOUND("note forwarding-open", "", .sshd = OPEN, .stack = FORWARDING, .forwarding = true);
    FOUND("note forwarding-nowhere", "", .sshd = OPEN, .stack = FORWARDING);
    FOUND("", "", .sshd = OPEN, .stack = FORWARDING, .deny = "no");
    FOUND("note sshd-tcp-shut", "PermitOpen and PermitListen are none",
          .sshd = OPEN "permitopen none\npermitlisten none\n", .stack = FORWARDING,
          .forwarding = true);
    FOUND("note forwarding-open", "", .sshd = OPEN "permitopen none\npermitlisten any\n",
          .stack = FORWARDING, .forwarding = true);
    FOUND("problem forwarding-argument", "sshd:1: session pam_berth.so lacks the argument",
          .sshd = OPEN, .stack = BERTH, .forwarding = true);
    /* The line with the argument is the one that is meant. */
    FOUND("note forwarding-nowhere", "", .sshd = OPEN, .stack = BERTH FORWARDING);
}

#define HOLE "hole sshd-tcp-forwarding"

static void test_ports_open_to_this_machine(void **state)
{
    (void)state;
    FOUND(HOLE, "AllowTcpForwarding is yes, and ", .sshd = OPEN, .stack = BERTH);
    FOUND(HOLE, "sshd:1: session pam_berth.so lacks the argument forwarding", .sshd = OPEN,
          .stack = BERTH);
    FOUND(HOLE, "AllowTcpForwarding is local", .sshd = "allowtcpforwarding local\n",
          .stack = BERTH);
    FOUND(HOLE, "AllowTcpForwarding is not told", .sshd = "", .stack = BERTH);
    FOUND(HOLE, "has no session line of pam_berth.so", .sshd = OPEN, .stack = "",
          .forwarding = true);
    FOUND(HOLE, "has no session line of pam_berth.so", .sshd = OPEN,
          .stack = "auth required pam_berth.so forwarding\n", .forwarding = true);
    FOUND(HOLE, "sshd:1: session sufficient pam_a.so can pass over pam_berth.so", .sshd = OPEN,
          .stack = "session sufficient pam_a.so\n" FORWARDING, .forwarding = true);
    FOUND(HOLE, "sshd:1: session [success=1 default=ignore] pam_a.so can pass over", .sshd = OPEN,
          .stack = "session [success=1 default=ignore] pam_a.so\n" FORWARDING);
    FOUND(HOLE, "a failure of session optional pam_berth.so isn't", .sshd = OPEN,
          .stack = "session optional pam_berth.so forwarding\n", .forwarding = true);
    FOUND(HOLE, "a failure of session sufficient pam_berth.so isn't", .sshd = OPEN,
          .stack = "session sufficient pam_berth.so forwarding\n");
    FOUND(HOLE, "a failure of session [success=ok session_err=ignore default=bad]", .sshd = OPEN,
          .stack = "session [success=ok session_err=ignore default=bad] pam_berth.so forwarding\n");
    FOUND("note forwarding-nowhere", "", .sshd = OPEN,
          .stack = "session [success=ok ignore=ignore default=bad] pam_berth.so forwarding\n");
    FOUND(HOLE, "sshd:1: the \"-\" before session", .sshd = OPEN, .stack = "-" FORWARDING,
          .forwarding = true);
    FOUND(HOLE, "sshd:2: session [default=reset] pam_a.so can take a failure", .sshd = OPEN,
          .stack = FORWARDING "session [default=reset] pam_a.so\n", .forwarding = true);
    FOUND(HOLE, "the PAM stack of sshd can't be read", .sshd = OPEN, .stack = NULL,
          .forwarding = true);
}

static void test_ports_without_pam_berth(void **state)
{
    (void)state;
    FOUND(HOLE, "matches them, so pam_berth.so lets them alone", .sshd = OPEN, .stack = FORWARDING,
          .unmapped = true, .other_shell = true);
    FOUND("", "", .sshd = SHUT, .stack = FORWARDING, .unmapped = true, .other_shell = true);
    /* The account line refuses him. */
    FOUND("", "", .sshd = OPEN, .stack = FORWARDING, .unmapped = true);
    FOUND(HOLE, "their login shell isn't /", .sshd = OPEN, .stack = FORWARDING,
          .other_shell = true);
    /* While berth.conf can't be read, he isn't known to be berth's. */
    FOUND(HOLE, "their login shell isn't /", .sshd = OPEN, .stack = FORWARDING, .other_shell = true,
          .forwarding = true);
    FOUND("", "", .sshd = SHUT, .stack = FORWARDING, .other_shell = true);
    FOUND("note sshd-tcp-shut", "", .sshd = SHUT, .stack = FORWARDING, .other_shell = true,
          .forwarding = true);
    FOUND(HOLE, "PAMServiceName is other", .sshd = OPEN "pamservicename other\n",
          .stack = FORWARDING);
    FOUND("note forwarding-nowhere", "", .sshd = OPEN "pamservicename sshd\n", .stack = FORWARDING);
}

static void test_engine_out_of_reach(void **state)
{
    (void)state;
    FOUND("problem forwarding-engine", "the engine is tcp://engine:2376", .sshd = SHUT,
          .stack = FORWARDING, .host = "engine:2376");
    FOUND("note forwarding-nowhere, problem forwarding-engine", "", .sshd = OPEN,
          .stack = FORWARDING, .host = "engine:2376");
    FOUND("", "", .sshd = SHUT, .stack = BERTH, .host = "engine:2376");
    FOUND("", "", .sshd = SHUT, .stack = FORWARDING, .host = "engine:2376", .deny = "no");
    /* pam_berth lets him in this machine's network. */
    FOUND("", "", .sshd = SHUT, .stack = FORWARDING, .host = "engine:2376", .other_shell = true);
}

/* --- findings */

static void add(struct findings *f, enum severity severity, const char *what, const char *user)
{
    findings_add(
        f,
        &(struct finding){
            .severity = severity, .id = "id", .what = strdup(what), .why = "", .mend = strdup("")},
        user);
}

static void test_findings(void **state)
{
    struct findings f = {0};

    (void)state;
    add(&f, FINDING_NOTE, "a", "anna");
    add(&f, FINDING_HOLE, "b", "anna");
    add(&f, FINDING_NOTE, "a", "bob");
    add(&f, FINDING_NOTE, "a", "bob");
    add(&f, FINDING_HOLE, "c", NULL);
    add(&f, FINDING_PROBLEM, "a", NULL);
    findings_sort(&f);
    assert_int_equal(f.count, 4);
    assert_string_equal(f.items[0].what, "b");
    assert_string_equal(f.items[1].what, "c");
    assert_int_equal(f.items[1].users.count, 0);
    assert_int_equal(f.items[2].severity, FINDING_PROBLEM);
    assert_int_equal(f.items[3].users.count, 2);
    assert_string_equal(f.items[3].users.items[1], "bob");
    assert_int_equal(findings_counted(&f, FINDING_HOLE), 2);
    assert_false(f.failed);
    findings_add(&f, &(struct finding){.id = "id", .mend = strdup("")}, NULL);
    assert_true(f.failed);
    findings_free(&f);
}

/* --- programs */

static int capture(struct text *out, struct error **err, const char *script)
{
    cleanup_strings struct strings argv = {0};

    assert_int_equal(strings_add(&argv, "/bin/sh"), 0);
    assert_int_equal(strings_add(&argv, "-c"), 0);
    assert_int_equal(strings_add(&argv, script), 0);
    return capture_run(&argv, out, err);
}

static void test_capture(void **state)
{
    struct text out = {0};
    struct error *err = NULL;
    cleanup_strings struct strings argv = {0};

    (void)state;
    assert_int_equal(capture(&out, &err,
                             "cat; echo out; echo err >&2; env | grep -v PWD= | "
                             "grep -v SHLVL= | grep -v _=; exit 0"),
                     0);
    assert_string_equal(text_str(&out), "out\n");
    text_free(&out);
    assert_int_equal(capture(&out, &err, "echo first >&2; echo last >&2; exit 3"), -1);
    assert_string_equal(error_text(err), "/bin/sh: first");
    error_clear(&err);
    assert_int_equal(capture(&out, &err, "kill -9 $$"), -1);
    assert_string_equal(error_text(err), "/bin/sh: failed, and didn't say why");
    error_clear(&err);
    /* It says without end: its end of the pipe is closed, and SIGPIPE not ignored. */
    assert_int_equal(capture(&out, &err,
                             "while echo xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx; do :; "
                             "done"),
                     -1);
    error_clear(&err);
    text_free(&out);
    assert_int_equal(strings_add(&argv, "/nonexistent/program"), 0);
    assert_int_equal(capture_run(&argv, &out, &err), -1);
    assert_string_equal(error_text(err),
                        "cannot run /nonexistent/program: No such file or directory");
    error_clear(&err);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_settings),
        cmocka_unit_test(test_no_settings),
        cmocka_unit_test(test_settings_without_end),
        cmocka_unit_test(test_user_names_for_sshd),
        cmocka_unit_test(test_wide_patterns),
        cmocka_unit_test(test_internal_sftp),
        cmocka_unit_test(test_stack),
        cmocka_unit_test(test_includes),
        cmocka_unit_test(test_wrong_stacks),
        cmocka_unit_test(test_files_that_are_none),
        cmocka_unit_test(test_skipped),
        cmocka_unit_test(test_skipped_by_a_substack),
        cmocka_unit_test(test_may_skip),
        cmocka_unit_test(test_forgets),
        cmocka_unit_test(test_lenient),
        cmocka_unit_test(test_counts),
        cmocka_unit_test(test_nsswitch),
        cmocka_unit_test(test_ports_shut),
        cmocka_unit_test(test_ports_open),
        cmocka_unit_test(test_ports_open_to_this_machine),
        cmocka_unit_test(test_ports_without_pam_berth),
        cmocka_unit_test(test_engine_out_of_reach),
        cmocka_unit_test(test_findings),
        cmocka_unit_test(test_capture),
    };

    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
