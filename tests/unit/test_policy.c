/* Merging and expansion: which value of which section a login gets. */
#include "config.h"

#include "test_policy.h"

/* The build says where; the default is for builds by hand. */
#ifndef BERTH_RUNTIMEDIR
#define BERTH_RUNTIMEDIR "/run/berth"
#endif

static const struct account root = {
    .name = (char *)"root", .home = (char *)"/root", .uid = 0, .gid = 0};

static void test_builtin(void **state)
{
    (void)state;
    cleanup_policy struct policy *p = policy_for("user alice { image = x }", &alice);

    assert_string_equal(p->runtime_dir, BERTH_RUNTIMEDIR);
    assert_string_equal(p->engine.endpoint, "unix:///run/docker.sock");
    assert_string_equal(p->engine.socket, "/run/docker.sock");
    assert_null(p->engine.host);
    assert_null(p->engine.registry_config);
    assert_string_equal(p->image, "x");
    assert_int_equal(p->pull, PULL_MISSING);
    assert_int_equal(p->scope, SCOPE_SESSION);
    assert_int_equal(p->linger, 0);
    assert_int_equal(p->on_idle, ON_IDLE_REMOVE);
    assert_int_equal(p->replace, REPLACE_AUTO);
    assert_int_equal(p->standby, 0);
    assert_int_equal(p->standby_time, 3600);
    assert_int_equal(p->hangup_grace, 5);
    assert_false(p->audit_bytes);
    assert_null(p->shell);
    assert_null(p->workdir);
    assert_string_equal(p->user, "2001:2002");
    assert_null(p->hostname);
    assert_string_equal(p->network, "none");
    assert_strings(&p->dns, "");
    assert_null(p->home);
    assert_true(p->names);
    assert_string_equal(p->home_at, "/home/alice");
    assert_true(p->home_free);
    assert_strings(&p->groups, "");
    assert_null(p->motd);
    assert_int_equal(p->mount_count, 0);
    assert_int_equal(p->tmpfs_count, 0);
    assert_int_equal(p->memory, 0);
    assert_null(p->cgroup_parent);
    assert_int_equal(p->memory_swap, 0);
    assert_int_equal(p->nano_cpus, 0);
    assert_int_equal(p->pids, 256);
    assert_int_equal(p->ulimit_count, 0);
    assert_strings(&p->cap_add, "");
    assert_strings(&p->cap_drop, "ALL");
    assert_true(p->no_new_privileges);
    assert_strings(&p->security_opt, "");
    assert_false(p->read_only);
    assert_null(p->runtime);
    assert_true(p->init);
    assert_int_equal(p->device_count, 0);
    assert_strings(&p->labels, "");
    assert_strings(&p->env, "");
    assert_strings(&p->accept_env, "LANG|LC_*|COLORTERM|TZ");
    assert_true(p->tty);
    assert_strings(&p->commands, "");
    assert_null(p->force_command);
    assert_null(p->banner);
    assert_null(p->deny);
    assert_null(p->create);
    assert_int_equal(p->sftp, SFTP_BUNDLED);
    assert_null(p->sftp_path);
    assert_null(p->sftp_root);
    assert_false(p->sftp_read_only);
    assert_int_equal(p->sftp_audit, SFTP_AUDIT_AUTO);
    assert_int_equal(p->umask, 022);
}

static void test_scalar_last_wins(void **state)
{
    /* defaults come first wherever they stand. */
    static const char text[] = "user \"a*\" { image = a pids = 10 tty = no }\n"
                               "user alice { image = b }\n"
                               "user bob { image = c pids = 11 }\n"
                               "defaults { image = d pids = 12 memory = 64m tty = yes }\n"
                               "user \"*\" { shell = /bin/sh }\n";

    (void)state;
    cleanup_policy struct policy *p = policy_for(text, &alice);
    assert_string_equal(p->image, "b");
    assert_int_equal(p->pids, 10);
    assert_int_equal(p->memory, 64 << 20);
    assert_false(p->tty);
    assert_string_equal(p->shell, "/bin/sh");
}

static void test_lists_add_up(void **state)
{
    static const char text[] =
        "defaults { image = x cap_add = {\"KILL\"} dns = {\"1.1.1.1\", \"::1\"}\n"
        "  env = {\"A=1\", \"B=2\"} mounts = {\"/srv/a:/a\", \"/srv/b:/b\"} }\n"
        "user \"*\" { cap_add = {cap_kill, NET_RAW} dns = \"9.9.9.9\" env = {\"A=3\", \"AB=4\"}\n"
        "  env += \"C=5\" mounts = {\"/srv/c:/a:ro\"} }\n"
        "user alice { dns = {\"1.1.1.1\"} ulimits = {\"core=0\", \"core=1\"} }\n"
        "user bob { dns = {\"2.2.2.2\"} }\n";

    (void)state;
    cleanup_policy struct policy *p = policy_for(text, &alice);
    assert_strings(&p->cap_add, "KILL|NET_RAW");
    assert_strings(&p->dns, "1.1.1.1|::1|9.9.9.9");
    /* The same name said later takes the former's place. */
    assert_strings(&p->env, "A=3|B=2|AB=4|C=5");
    assert_int_equal(p->mount_count, 2);
    assert_string_equal(p->mounts[0].source, "/srv/c");
    assert_string_equal(p->mounts[0].target, "/a");
    assert_true(p->mounts[0].read_only);
    assert_string_equal(p->mounts[1].source, "/srv/b");
    assert_int_equal(p->ulimit_count, 1);
    assert_int_equal(p->ulimits[0].soft, 1);
}

static void test_builtin_lists_give_way(void **state)
{
    (void)state;
    cleanup_policy struct policy *empty = policy_for(
        "defaults { image = x } user alice { cap_drop = {} accept_env = {} }", &alice);
    assert_strings(&empty->cap_drop, "");
    assert_strings(&empty->accept_env, "");

    cleanup_policy struct policy *own = policy_for(
        "defaults { image = x cap_drop = {\"NET_RAW\"} accept_env = {\"FOO\"} }\n"
        "user alice { cap_drop = {\"MKNOD\"} accept_env = {\"BAR\"} }",
        &alice);
    assert_strings(&own->cap_drop, "NET_RAW|MKNOD");
    assert_strings(&own->accept_env, "FOO|BAR");

    /* An empty list adds nothing to what the file itself says. */
    cleanup_policy struct policy *kept = policy_for(
        "defaults { image = x commands = {\"ls\"} } user alice { commands = {} }", &alice);
    assert_strings(&kept->commands, "ls");
}

static void test_empty_string_takes_back(void **state)
{
    (void)state;
    cleanup_policy struct policy *p = policy_for(
        "defaults { image = x deny = \"closed\" hostname = h workdir = /w runtime = r\n"
        "  force_command = f banner = b shell = /bin/sh sftp = \"image:/s\" sftp_root = /s memory = 64m }\n"
        "user alice { deny = \"\" hostname = \"\" workdir = \"\" runtime = ''\n"
        "  force_command = \"\" banner = \"\" create = \"\" shell = auto sftp = image sftp_root = \"\"\n"
        "  memory = unlimited }",
        &alice);

    assert_null(p->deny);
    assert_null(p->hostname);
    assert_null(p->workdir);
    assert_null(p->runtime);
    assert_null(p->force_command);
    assert_null(p->banner);
    assert_null(p->create);
    assert_null(p->shell);
    assert_int_equal(p->sftp, SFTP_IMAGE);
    assert_null(p->sftp_path);
    assert_null(p->sftp_root);
    assert_int_equal(p->memory, 0);
}

static void test_who_matches(void **state)
{
    static const char *const titles[] = {"alice", "*", "al?ce", "[a-c]*", "a*e"};
    static const char *const others[] = {"Alice", "alic", "alicea", "?", "bob*"};
    char text[128];

    (void)state;
    for (size_t i = 0; i < sizeof titles / sizeof titles[0]; i++) {
        snprintf(text, sizeof text, "user \"%s\" { image = x }", titles[i]);
        cleanup_policy struct policy *p = policy_for(text, &alice);
        assert_string_equal(p->image, "x");
    }
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        snprintf(text, sizeof text, "user \"%s\" { image = x }", others[i]);
        assert_refused(text, &alice,
                       "no user or group section of " CONF " matches \"alice\"; ask the "
                       "administrator for one");
    }
    static const struct account odd = {.name = (char *)"a\"\x1b", .home = (char *)"/", .uid = 1};
    assert_refused("defaults { image = x }", &odd,
                   "no user or group section of " CONF " matches "
                   "\"a\\\"\\x1b\"; ask the administrator for one");
    assert_refused("", &alice,
                   "no user or group section of " CONF " matches \"alice\"; ask the "
                   "administrator for one");
}

static const char *const lab_names[] = {"users", "lab-1", "staff", NULL};
static const struct strings lab = {.items = (char **)lab_names, .count = 3};
static const struct account bea = {
    .name = (char *)"bea", .home = (char *)"/home/bea", .uid = 2003, .gid = 2003, .groups = &lab};

static void test_groups(void **state)
{
    /* Between defaults and users, wherever they stand. */
    static const char text[] = "user bea { pids = 3 }\n"
                               "group \"lab-*\" { image = b memory = 64m dns = \"9.9.9.9\" }\n"
                               "group staff { memory = 32m pids = 2 cpus = 1 }\n"
                               "group others { cpus = 4 deny = \"no\" }\n"
                               "defaults { image = a pids = 1 dns = \"1.1.1.1\" }\n";

    (void)state;
    cleanup_policy struct policy *p = policy_for(text, &bea);
    assert_string_equal(p->image, "b");
    assert_int_equal(p->memory, 32 << 20);
    assert_int_equal(p->pids, 3);
    assert_int_equal(p->nano_cpus, 1000000000);
    assert_strings(&p->dns, "1.1.1.1|9.9.9.9");
    assert_null(p->deny);
    /* A group alone maps a login. */
    cleanup_policy struct policy *q = policy_for("group staff { image = x }", &bea);
    assert_string_equal(q->image, "x");
    assert_refused("group others { image = x }", &bea,
                   "no user or group section of " CONF " matches \"bea\"; ask the "
                   "administrator for one");
    assert_refused("group \"bea\" { image = x }", &bea,
                   "no user or group section of " CONF " matches \"bea\"; ask the "
                   "administrator for one");
}

static void test_inherit(void **state)
{
    static const char text[] = "defaults { image = a pids = 1 dns = \"1.1.1.1\" }\n"
                               "group staff { inherit = no image = b dns = \"2.2.2.2\" }\n"
                               "user \"*\" { inherit = yes dns = \"3.3.3.3\" }\n";

    (void)state;
    cleanup_policy struct policy *p = policy_for(text, &bea);
    assert_string_equal(p->image, "b");
    assert_int_equal(p->pids, 256);
    assert_strings(&p->dns, "2.2.2.2|3.3.3.3");
    cleanup_policy struct policy *q = policy_for(
        "defaults { image = a } group staff { inherit = no cap_drop = \"MKNOD\" }\n"
        "user bea { inherit = no image = c }",
        &bea);
    assert_string_equal(q->image, "c");
    assert_strings(&q->cap_drop, "ALL");
    assert_refused("defaults { image = a } user bea { inherit = no }", &bea,
                   CONF ": no image for \"bea\": set image in defaults or in a group or user "
                        "section that matches");
}

static void test_home(void **state)
{
    (void)state;
    cleanup_policy struct policy *p = policy_for(
        "defaults { image = x home = \"/srv/%u\" mounts = {\"/srv/x:/x\"} }\nuser alice { }",
        &alice);
    assert_string_equal(p->home_at, "/home/alice");
    assert_string_equal(p->workdir, "/home/alice");
    assert_int_equal(p->mount_count, 2);
    assert_string_equal(p->mounts[1].source, "/srv/alice");
    assert_string_equal(p->mounts[1].target, "/home/alice");
    assert_false(p->mounts[1].read_only);
    assert_false(p->mounts[1].volume);

    cleanup_policy struct policy *volume = policy_for(
        "user alice { image = x home = \"home-%u\" workdir = \"/w\" }", &alice);
    assert_string_equal(volume->mounts[0].source, "home-alice");
    assert_true(volume->mounts[0].volume);
    assert_string_equal(volume->workdir, "/w");

    cleanup_policy struct policy *none = policy_for(
        "defaults { image = x home = v }\nuser alice { home = \"\" }", &alice);
    assert_string_equal(none->home_at, "/home/alice");
    assert_true(none->home_free);
    assert_null(none->workdir);
    assert_int_equal(none->mount_count, 0);

    assert_refused("user alice { image = x\n home = v mounts = {\"/a:/home/alice\"} }", &alice,
                   CONF ":2: home: mounts has something else at \"/home/alice\", the login's home");
    assert_refused("user alice { image = x\n home = v tmpfs = {\"/home/alice\"} }", &alice,
                   CONF ":2: home: tmpfs has something else at \"/home/alice\", the login's home");
    /* Whoever is refused anyway hears nothing of it. */
    cleanup_policy struct policy *out = policy_for(
        "user alice { home = v mounts = {\"/a:/home/alice\"} deny = \"no\" }", &alice);
    assert_string_equal(out->deny, "no");
}

static void test_names(void **state)
{
    static const struct account homeless = {
        .name = (char *)"alice", .home = (char *)"/", .uid = 2001, .gid = 2002};

    (void)state;
    cleanup_policy struct policy *off = policy_for("user alice { image = x names = no }", &alice);
    assert_false(off->names);
    assert_null(off->home_at);

    /* They have theirs from the image. */
    cleanup_policy struct policy *zero = policy_for("user alice { image = x user = \"0:0\" }",
                                                    &alice);
    assert_false(zero->names);
    assert_null(zero->home_at);
    cleanup_policy struct policy *named = policy_for("user alice { image = x user = \"dev\" }",
                                                     &alice);
    assert_false(named->names);
    cleanup_policy struct policy *group = policy_for("user alice { image = x user = \"5:dev\" }",
                                                     &alice);
    assert_false(group->names);

    cleanup_policy struct policy *above = policy_for(
        "user alice { image = x mounts = {\"/srv/h:/home\"} }", &alice);
    assert_string_equal(above->home_at, "/home/alice");
    assert_false(above->home_free);
    cleanup_policy struct policy *slashes = policy_for(
        "user alice { image = x mounts = {\"/srv/h://home//alice/\"} }", &alice);
    assert_false(slashes->home_free);
    cleanup_policy struct policy *beside = policy_for(
        "user alice { image = x tmpfs = {\"/home/alic\", \"/home/alice/x\"} }", &alice);
    assert_true(beside->home_free);

    static const struct account guest = {
        .name = (char *)"alice", .home = (char *)"/.berth//sftp-x", .uid = 2001, .gid = 2002};
    cleanup_policy struct policy *taken = policy_for("user alice { image = x }", &guest);
    assert_true(taken->names);
    assert_false(taken->home_free);

    cleanup_policy struct policy *none = policy_for("user alice { image = x }", &homeless);
    assert_true(none->names);
    assert_null(none->home_at);
}

static void test_supplementary_groups(void **state)
{
    (void)state;
    cleanup_policy struct policy *p = policy_for("user alice { image = x groups = {5001, 44} }",
                                                 &alice);
    assert_strings(&p->group_ids, "5001:|44:");

    assert_refused("user alice { image = x\n groups = {\"0\"} }", &alice,
                   CONF ":2: groups \"0\": must be a group's number from 1 to 2147483647, or a "
                        "pattern of names");
    assert_refused("user alice { image = x\n groups = {\"4294967297\"} }", &alice,
                   CONF ":2: groups \"4294967297\": must be a group's number from 1 to "
                        "2147483647, or a pattern of names");
}

static void test_image_needed(void **state)
{
    (void)state;
    assert_refused("user alice {}", &alice,
                   CONF ": no image for \"alice\": set image in defaults "
                        "or in a group or user section that matches");
    /* The administrator's own refusal goes first. */
    cleanup_policy struct policy *p = policy_for("user alice { deny = \"closed\" }", &alice);
    assert_string_equal(p->deny, "closed");
    assert_string_equal(p->image, "");
}

static void test_root_refused(void **state)
{
    (void)state;
    assert_refused(
        "user \"*\" { image = x }", &root,
        CONF ": \"root\" is uid 0 and would be root "
             "in its container: set user in a user section that matches, where that is meant");
    cleanup_policy struct policy *p = policy_for("user root { image = x user = \"0:0\" }", &root);
    assert_string_equal(p->user, "0:0");
}

static void test_expansion(void **state)
{
    (void)state;
    cleanup_policy struct policy *p = policy_for(
        "runtime_dir = \"/run/%U\"\n"
        "engine { endpoint = \"unix:///run/user/%U/docker.sock\" }\n"
        "user \"*\" { image = \"lab-%u\" workdir = \"%h/w\" user = \"%u:%G\" hostname = \"%u-%U\"\n"
        "  mounts = {\"/srv/%u:%h\", \"v-%u:/v\"} tmpfs = {\"/run/%U:uid=%U\"}\n"
        "  env = {\"WHO=%u%%%U\"} labels = {\"who=%u\"} force_command = \"echo %u %h %%s\"\n"
        "  commands = {\"ls /srv/%u/*\"} banner = \"100%% %u\" }",
        &alice);

    assert_string_equal(p->runtime_dir, "/run/2001");
    assert_string_equal(p->engine.socket, "/run/user/2001/docker.sock");
    assert_string_equal(p->image, "lab-alice");
    assert_string_equal(p->workdir, "/home/alice/w");
    assert_string_equal(p->user, "alice:2002");
    assert_string_equal(p->hostname, "alice-2001");
    assert_string_equal(p->mounts[0].source, "/srv/alice");
    assert_string_equal(p->mounts[0].target, "/home/alice");
    assert_string_equal(p->mounts[1].source, "v-alice");
    assert_true(p->mounts[1].volume);
    assert_string_equal(p->tmpfs[0].target, "/run/2001");
    assert_string_equal(p->tmpfs[0].options, "uid=2001");
    assert_strings(&p->env, "WHO=alice%2001");
    assert_strings(&p->labels, "who=alice");
    assert_string_equal(p->force_command, "echo alice /home/alice %s");
    assert_strings(&p->commands, "ls /srv/alice/*");
    assert_string_equal(p->banner, "100% alice");
}

#define BAD_NAME "which is empty, \".\" or \"..\" or holds \"/\", \":\" or a control character"
#define BAD_HOME "which is not absolute or holds \":\", \"..\" or a control character"

static void test_hostile_names(void **state)
{
    static const struct {
        const char *name, *shown;
    } names[] = {{"a/b", "a/b"}, {"..", ".."},        {".", "."},         {"", ""},
                 {"a:b", "a:b"}, {"a\nb", "a\\x0ab"}, {"a\x7f", "a\\x7f"}};
    char expected[512];

    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        struct account who = alice;
        who.name = (char *)names[i].name;
        snprintf(expected, sizeof expected,
                 CONF ":2: mounts \"/srv/%%u:/x\": %%u would put in the "
                      "login's name \"%s\", " BAD_NAME,
                 names[i].shown);
        assert_refused("user \"*\" {\n mounts = {\"/srv/%u:/x\"} image = x }", &who, expected);
        /* Where nothing uses the name it does no harm. */
        cleanup_policy struct policy *p = policy_for("user \"*\" { image = x }", &who);
        assert_string_equal(p->user, "2001:2002");
    }
    struct account who = alice;
    who.name = (char *)"\xff";
    assert_refused("user \"*\" { image = \"x%u\" }", &who,
                   CONF ":1: image \"x%u\": is not valid "
                        "UTF-8");
    who.name = (char *)"0";
    assert_refused("user \"*\" { image = x user = \"%u\" }", &who,
                   CONF
                   ":1: user \"%u\": %u would "
                   "put in the login's name \"0\", which is a number and would be taken for a uid");
    who.name = (char *)"a;b";
    assert_refused("user \"*\" { image = x force_command = \"ls %u\" }", &who,
                   CONF
                   ":1: "
                   "force_command \"ls %u\": %u would put in the login's name \"a;b\", which has "
                   "characters that a shell could act on");
    who.name = (char *)"a*";
    assert_refused("user \"*\" { image = x commands = {\"ls\",\n\"ls %u\"} }", &who,
                   CONF ":2: "
                        "commands \"ls %u\": %u would put in the login's name \"a*\", which has "
                        "characters that a shell could act on");
    who.name = (char *)"a_b";
    assert_refused("user \"*\" { image = x hostname = \"%u\" }", &who,
                   CONF ":1: hostname \"%u\": "
                        "must be a host name: letters, digits and \"-\", parts of at most 63 bytes "
                        "between dots, at most 64 bytes in all");
}

static void test_hostile_homes(void **state)
{
    static const struct {
        const char *home, *shown;
    } homes[] = {{"", ""},       {"home/a", "home/a"}, {"/home/../etc", "/home/../etc"},
                 {"/..", "/.."}, {"/a:b", "/a:b"},     {"/a\tb", "/a\\x09b"}};
    char expected[512];

    (void)state;
    for (size_t i = 0; i < sizeof homes / sizeof homes[0]; i++) {
        struct account who = alice;
        who.home = (char *)homes[i].home;
        snprintf(expected, sizeof expected,
                 CONF ":1: mounts \"%%h:/x\": %%h would put in the "
                      "login's home \"%s\", " BAD_HOME,
                 homes[i].shown);
        assert_refused("user \"*\" { mounts = {\"%h:/x\"} image = x }", &who, expected);
    }
    for (size_t i = 0; i < sizeof homes / sizeof homes[0]; i++) {
        struct account who = alice;
        who.home = (char *)homes[i].home;
        snprintf(expected, sizeof expected,
                 CONF ":2: home: %%h would put in the login's home \"%s\", " BAD_HOME,
                 homes[i].shown);
        assert_refused("user \"*\" { image = x\nhome = v }", &who, expected);
    }
    static const char *const paths[] = {"/", "//", "/./a", "/a/."};
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
        struct account who = alice;
        who.home = (char *)paths[i];
        snprintf(expected, sizeof expected,
                 CONF ":1: home: the login's home in the system's user database is \"%s\": must be "
                      "an absolute path other than \"/\" without \".\" and \"..\" in it",
                 paths[i]);
        assert_refused("user \"*\" { image = x home = v }", &who, expected);
    }
    struct account who = alice;
    who.home = (char *)"/h\xff";
    assert_refused("user \"*\" { image = x home = v }", &who,
                   CONF ":1: home: the login's home in the system's user database: is not valid "
                        "UTF-8");
    who.home = (char *)"/a..b/..c";
    cleanup_policy struct policy *p = policy_for("user \"*\" { mounts = {\"%h:/x\"} image = x }",
                                                 &who);
    assert_string_equal(p->mounts[0].source, "/a..b/..c");
}

static void test_checks_across_options(void **state)
{
    (void)state;
    assert_refused("user \"*\" { image = x\n memory_swap = 1g }", &alice,
                   CONF ":2: memory_swap "
                        "counts memory and swap together: it needs a memory that is not larger");
    assert_refused("defaults { memory = 2g }\nuser \"*\" { image = x\n memory_swap = 1g }", &alice,
                   CONF ":3: memory_swap counts memory and swap together: it needs a memory that "
                        "is not larger");
    assert_refused(
        "defaults { tmpfs = {\"/tmp\"} }\nuser \"*\" { image = x mounts = {\"v:/tmp\"} }", &alice,
        CONF ": both mounts and tmpfs have \"/tmp\" for \"alice\"");
    assert_refused("engine { endpoint = \"tcp://h:2376\" tls_ca = /a tls_cert = /b }", &alice,
                   CONF ": engine: endpoint \"tcp://h:2376\" needs tls_ca, tls_cert and tls_key, "
                        "all three: plain TCP is root for everyone who reaches the port");
    assert_refused("engine { tls_ca = /a }", &alice,
                   CONF ": engine: tls_ca, tls_cert and tls_key "
                        "are for a tcp:// endpoint, not for \"unix:///run/docker.sock\"");
    static const char *const hindered[][2] = {
        {"network = host", "network = host, which is this machine's own"},
        {"standby = 1", "standby, whose containers have each a network of their own"},
        {"runtime = runsc", "a runtime that has a network of its own in the container"},
    };
    for (size_t i = 0; i < sizeof hindered / sizeof *hindered; i++) {
        cleanup_string char *conf = text_format(
            "user \"*\" { image = x\n %s\n forwarding = container }", hindered[i][0]);
        cleanup_string char *why = text_format(
            CONF ":3: forwarding = container can't be had for \"alice\" with %s", hindered[i][1]);
        assert_refused(conf, &alice, why);
    }
    assert_refused("engine { endpoint = \"unix:///run/%U.sock\" }\n"
                   "user \"*\" { image = x forwarding = container }",
                   &alice,
                   CONF ":2: forwarding = container can't be had for \"alice\" with an engine of "
                        "the user's own: root goes by no word of it");
    assert_refused("engine { endpoint = \"tcp://h:1\" tls_ca = /a tls_cert = /b tls_key = /c }\n"
                   "user \"*\" { image = x forwarding = container }",
                   &alice,
                   CONF ":2: forwarding = container can't be had for \"alice\" with an engine on "
                        "another machine, which has its containers' networks");
    cleanup_policy struct policy *p = policy_for(
        "engine { endpoint = \"tcp://[::1]:2376\" tls_ca = /a tls_cert = /b tls_key = /c }\n"
        "user \"*\" { image = x memory = 1g memory_swap = 1g }",
        &alice);
    assert_string_equal(p->engine.host, "[::1]:2376");
    assert_null(p->engine.socket);
    assert_string_equal(p->engine.tls_key, "/c");
    assert_int_equal(p->memory_swap, 1 << 30);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_builtin),
        cmocka_unit_test(test_scalar_last_wins),
        cmocka_unit_test(test_lists_add_up),
        cmocka_unit_test(test_builtin_lists_give_way),
        cmocka_unit_test(test_empty_string_takes_back),
        cmocka_unit_test(test_who_matches),
        cmocka_unit_test(test_groups),
        cmocka_unit_test(test_inherit),
        cmocka_unit_test(test_home),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_supplementary_groups),
        cmocka_unit_test(test_image_needed),
        cmocka_unit_test(test_root_refused),
        cmocka_unit_test(test_expansion),
        cmocka_unit_test(test_hostile_names),
        cmocka_unit_test(test_hostile_homes),
        cmocka_unit_test(test_checks_across_options),
    };

    return cmocka_run_group_tests_name("policy", tests, NULL, NULL);
}
