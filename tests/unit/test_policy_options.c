/* Each option: what it takes, and the whole error for what it doesn't. The bad
 * value stands on line 3 of a section that alice doesn't match: a file is right
 * or wrong for everybody. */
#include "config.h"

#include "test_policy.h"

#define TEXT_PATH "must be an absolute path without \".\" and \"..\" in it, shorter than 4096 bytes"
#define TEXT_BOOL "must be yes or no (or true, false, on, off)"
#define TEXT_SIZE "must be a number of bytes, or one with b, k, m or g after it, as in \"512m\""
#define TEXT_SOURCE                                                                                \
    "must be SOURCE:TARGET or SOURCE:TARGET:ro, SOURCE an absolute path without "                  \
    "\".\" and \"..\" in it or the name of a volume"
#define TEXT_TARGET                                                                                \
    "must be SOURCE:TARGET or SOURCE:TARGET:ro, TARGET an absolute path other "                    \
    "than \"/\" without \".\" and \"..\" in it"
#define TEXT_TMPFS                                                                                 \
    "must be PATH or PATH:OPTIONS, as in \"/tmp:size=64m\", PATH an absolute path "                \
    "other than \"/\" without \".\" and \"..\" in it"
#define TEXT_TMPFS_OPTIONS "must have options like \"size=64m,mode=1777\" after the path"
#define TEXT_ULIMIT                                                                                \
    "must be NAME=SOFT:HARD or NAME=BOTH, each limit a number or \"unlimited\", "                  \
    "as in \"nofile=1024:2048\""
#define TEXT_CAPABILITY "must be a capability of capabilities(7), as in \"NET_RAW\", or \"ALL\""
#define TEXT_DEVICE                                                                                \
    "must be HOST, HOST:CONTAINER or HOST:CONTAINER:ACCESS, absolute paths and "                   \
    "some of \"rwm\", as in \"/dev/fuse:/dev/fuse:rw\""
#define TEXT_USER                                                                                  \
    "must be USER or USER:GROUP, each a number up to 2147483647 or a name of "                     \
    "letters, digits, \"_\", \".\" and \"-\", as in \"%U:%G\""
#define TEXT_HOSTNAME                                                                              \
    "must be a host name: letters, digits and \"-\", parts of at most 63 bytes "                   \
    "between dots, at most 64 bytes in all"
#define TEXT_NAME                                                                                  \
    "must be a name of letters, digits, \"_\", \".\" and \"-\" that starts with a "                \
    "letter or digit"
#define TEXT_NETWORK "must be \"none\", \"bridge\", \"host\" or the name of a network"
#define TEXT_ENV                                                                                   \
    "must be NAME=VALUE, the name of letters, digits and \"_\", not starting with a "              \
    "digit"
#define TEXT_PATTERN                                                                               \
    "must be a variable's name or a pattern of letters, digits, \"_\", \"*\" and "                 \
    "\"?\", as in \"LC_*\""
#define TEXT_LABEL "must be KEY=VALUE, the key not empty and without blanks"
#define TEXT_IMAGE                                                                                 \
    "must be an image's name, as in \"debian:12-slim\": not empty, no blanks, at "                 \
    "most 512 bytes"
#define TEXT_CONTROL "has a control character, which is not allowed here"
#define TEXT_PERCENT                                                                               \
    "has a \"%\" that is not followed by u, U, G, h or %; a \"%\" itself is "                      \
    "written \"%%\""
#define TEXT_SFTP                                                                                  \
    "must be \"bundled\", \"image\", \"off\", or \"image:\" and an absolute path, as in "          \
    "\"image:/usr/lib/openssh/sftp-server\""
#define TEXT_UMASK "must be an octal number up to 0777, as in \"0027\""
#define TEXT_CPUS  "must be a number of CPUs up to 8192, as in \"1.5\" or \"2\", or \"unlimited\""
#define TEXT_PIDS  "must be a number from 1 to 4194304, or \"unlimited\""

#define TEXT_COUNT "must be a number from 1 to 100000, or \"unlimited\""
#define TEXT_RATE                                                                                  \
    "must be a number of logins from 1 to 100000, \"/\" and a time, as in \"10/1m\", or "          \
    "\"unlimited\""
#define TEXT_CGROUP                                                                                \
    "must be an absolute path in the cgroup hierarchy, or a systemd slice's name, as in "          \
    "\"berth.slice\""
#define TEXT_HOME                                                                                  \
    "must be an absolute path other than \"/\" without \".\" and \"..\" in it, or the name of a "  \
    "volume"

#define A63 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

struct case_bad {
    const char *option, *value, *why;
};

static const struct case_bad bad[] = {
    {"image", "", TEXT_IMAGE},
    {"image", "a b", TEXT_IMAGE},
    {"image", "%x", TEXT_PERCENT},
    {"image", "100%", TEXT_PERCENT},
    {"channel", "fast", "must be \"auto\", \"direct\" or \"attach\""},
    {"scope", "world", "must be \"session\", \"connection\" or \"user\""},
    {"on_idle", "pause", "must be \"remove\" or \"stop\""},
    {"replace", "now", "must be \"auto\", \"idle\" or \"never\""},
    {"forwarding", "yes", "must be \"off\" or \"container\""},
    {"standby", "many", "must be a number from 0 to 100"},
    {"linger", "soon",
     "must be a number of seconds, or one with s, m, h or d after it, as in \"30m\", at most 3650d"},
    {"hangup_grace", "forever",
     "must be a number of seconds, or one with s, m, h or d after it, as in \"30m\", at most 3650d"},
    {"inherit", "maybe", TEXT_BOOL},
    {"max_sessions", "0", TEXT_COUNT},
    {"max_sessions", "100001", TEXT_COUNT},
    {"max_time", "0", "must be a second or more, or \"unlimited\""},
    {"idle_timeout", "x",
     "must be a number of seconds, or one with s, m, h or d after it, as in \"30m\", at most 3650d"},
    {"login_rate", "10", TEXT_RATE},
    {"login_rate", "0/1m", TEXT_RATE},
    {"login_rate", "10/0", TEXT_RATE},
    {"login_rate", "10/1m/", TEXT_RATE},
    {"cgroup_parent", "a/../b", TEXT_CGROUP},
    {"cgroup_parent", "/..", TEXT_CGROUP},
    {"cgroup_parent", "/", TEXT_CGROUP},
    {"cgroup_parent", ".slice", TEXT_CGROUP},
    {"home", "/", TEXT_HOME},
    {"home", "a/b", TEXT_HOME},
    {"home", "/a/../b", TEXT_HOME},
    {"pull", "sometimes", "must be \"missing\", \"always\" or \"never\""},
    {"shell", "sh", "must be \"auto\" or an absolute path"},
    {"shell", "", "must be \"auto\" or an absolute path"},
    {"workdir", "srv", TEXT_PATH},
    {"workdir", "/srv/../etc", TEXT_PATH},
    {"user", "", TEXT_USER},
    {"user", "a:", TEXT_USER},
    {"user", ":1", TEXT_USER},
    {"user", "1:2:3", TEXT_USER},
    {"user", "-1", TEXT_USER},
    {"user", "a b", TEXT_USER},
    {"user", "2147483648", TEXT_USER},
    {"hostname", "-a", TEXT_HOSTNAME},
    {"hostname", "a-", TEXT_HOSTNAME},
    {"hostname", "a..b", TEXT_HOSTNAME},
    {"hostname", "a.", TEXT_HOSTNAME},
    {"hostname", "a_b", TEXT_HOSTNAME},
    {"hostname", A63 ".a", TEXT_HOSTNAME},
    {"network", "", TEXT_NETWORK},
    {"network", "a/b", TEXT_NETWORK},
    {"network", "container:abc", "would share another container's network, which is not allowed"},
    {"dns", "localhost", "must be an IPv4 or IPv6 address"},
    {"dns", "1.1.1", "must be an IPv4 or IPv6 address"},
    {"dns", "1.1.1.1 ", "must be an IPv4 or IPv6 address"},
    {"mounts", "/srv", TEXT_TARGET},
    {"mounts", "srv/a:/b", TEXT_SOURCE},
    {"mounts", "/srv/../a:/b", TEXT_SOURCE},
    {"mounts", "/srv:/", TEXT_TARGET},
    {"mounts", "/srv:/b:rx", "has something other than \"ro\" or \"rw\" at its end"},
    {"tmpfs", "tmp", TEXT_TMPFS},
    {"tmpfs", "/", TEXT_TMPFS},
    {"tmpfs", "/tmp:", TEXT_TMPFS_OPTIONS},
    {"tmpfs", "/tmp:size=1,,a", TEXT_TMPFS_OPTIONS},
    {"tmpfs", "/tmp:a b", TEXT_TMPFS_OPTIONS},
    {"memory", "12q", TEXT_SIZE},
    {"memory", "%U", TEXT_SIZE},
    {"memory", "1m", "is too small: the engine wants at least \"6m\" (no limit: \"unlimited\")"},
    {"memory", "8589934592g", "is too large: at most 9223372036854775807 bytes"},
    {"memory_swap", "-2", TEXT_SIZE},
    {"cpus", "many", TEXT_CPUS},
    {"cpus", "0.001", "is too small: at least \"0.01\" (no limit: \"unlimited\")"},
    {"pids", "0", TEXT_PIDS},
    {"pids", "many", TEXT_PIDS},
    {"pids", "4194305", TEXT_PIDS},
    {"ulimits", "files=1",
     "must be NAME=SOFT:HARD or NAME=BOTH, NAME one of as, core, cpu, data, "
     "fsize, locks, memlock, msgqueue, nice, nofile, nproc, rss, rtprio, rttime, sigpending, stack"},
    {"ulimits", "nofile=x", TEXT_ULIMIT},
    {"ulimits", "nofile=2:1", "has a soft limit above its hard limit"},
    {"cap_add", "NET", TEXT_CAPABILITY},
    {"cap_drop", "", TEXT_CAPABILITY},
    {"cap_drop", "NONE", TEXT_CAPABILITY},
    {"no_new_privileges", "maybe", TEXT_BOOL},
    {"security_opt", "seccomp", "must be KEY=VALUE, as in \"apparmor=berth\""},
    {"security_opt", "no-new-privileges=false", "has an option of its own: no_new_privileges"},
    {"security_opt", "seccomp=/etc/p.json",
     "names a file: the engine takes the profile's JSON "
     "text itself, or \"seccomp=unconfined\""},
    {"read_only", "1", TEXT_BOOL},
    {"runtime", "/bin/runc", TEXT_NAME},
    {"init", "", TEXT_BOOL},
    {"devices", "fuse", TEXT_DEVICE},
    {"devices", "/dev/fuse:x", TEXT_DEVICE},
    {"labels", "a", TEXT_LABEL},
    {"labels", "=a", TEXT_LABEL},
    {"labels", "a b=c", TEXT_LABEL},
    {"labels", "berth.uid=0", "has a key that begins with \"berth.\": those are berth's own"},
    {"labels", "Berth.uid=0", "has a key that begins with \"berth.\": those are berth's own"},
    {"env", "A", TEXT_ENV},
    {"env", "=A", TEXT_ENV},
    {"env", "1A=b", TEXT_ENV},
    {"env", "A-B=c", TEXT_ENV},
    {"env", "A B=c", TEXT_ENV},
    {"accept_env", "", TEXT_PATTERN},
    {"accept_env", "LC_[A-Z]*", TEXT_PATTERN},
    {"accept_env", "A=b", TEXT_PATTERN},
    {"tty", "2", TEXT_BOOL},
    {"commands", "", "must not be empty"},
    {"commands", "date +%s", TEXT_PERCENT},
    {"force_command", "date +%s", TEXT_PERCENT},
    {"banner", "100%", TEXT_PERCENT},
    {"create", "%x.json", TEXT_PERCENT},
    {"create", "/nonexistent/c.json",
     "/nonexistent/c.json: cannot open: No such file or directory"},
    {"create", "c.json", "/nonexistent/c.json: cannot open: No such file or directory"},
    {"sftp", "host", TEXT_SFTP},
    {"sftp", "image:", TEXT_SFTP},
    {"sftp", "image:usr/sftp-server", TEXT_SFTP},
    {"sftp", "no", TEXT_SFTP},
    {"sftp_root", "home", TEXT_PATH},
    {"sftp_read_only", "perhaps", TEXT_BOOL},
    {"sftp_audit", "all", "must be auto, yes or no"},
    {"umask", "", TEXT_UMASK},
    {"umask", "28", TEXT_UMASK},
    {"umask", "1000", TEXT_UMASK},
    {"umask", "00022", TEXT_UMASK},
    {"umask", "-1", TEXT_UMASK},
};

static const struct case_bad bad_engine[] = {
    {"endpoint", "", "must be unix:///PATH or tcp://HOST:PORT"},
    {"endpoint", "/run/docker.sock", "must be unix:///PATH or tcp://HOST:PORT"},
    {"endpoint", "unix://run/docker.sock",
     "must name the socket by an absolute path without "
     "blanks, \".\" and \"..\", of at most 107 bytes, as in \"unix:///run/docker.sock\""},
    {"endpoint", "tcp://engine",
     "must be tcp://HOST:PORT, as in \"tcp://engine:2376\" or "
     "\"tcp://[::1]:2376\""},
    {"tls_ca", "ca.pem", TEXT_PATH},
    {"tls_cert", "", TEXT_PATH},
    {"tls_key", "~/key.pem", TEXT_PATH},
    {"registry_config", "docker.json", TEXT_PATH},
};

static void cases_check(const char *section, const struct case_bad *cases, size_t count)
{
    char text[2048], expected[2048];

    for (size_t i = 0; i < count; i++) {
        snprintf(text, sizeof text, "# one\n%s {\n  %s = \"%s\"\n}\n", section, cases[i].option,
                 cases[i].value);
        snprintf(expected, sizeof expected, CONF ":3: %s \"%.64s%s\": %s", cases[i].option,
                 cases[i].value, strlen(cases[i].value) > 64 ? "..." : "", cases[i].why);
        assert_refused(text, &alice, expected);
    }
}

static void test_bad(void **state)
{
    (void)state;
    cases_check("defaults", bad, sizeof bad / sizeof bad[0]);
    cases_check("user bob", bad, sizeof bad / sizeof bad[0]);
    cases_check("engine", bad_engine, sizeof bad_engine / sizeof bad_engine[0]);
    assert_refused("\nruntime_dir = run", &alice, CONF ":2: runtime_dir \"run\": " TEXT_PATH);
    assert_refused("host_max_sessions = all", &alice,
                   CONF ":1: host_max_sessions \"all\": " TEXT_COUNT);
    assert_refused("audit_format = xml", &alice,
                   CONF ":1: audit_format \"xml\": must be \"text\" or \"json\"");
}

/* Whatever the option, its value is text. */
static void test_bad_text(void **state)
{
    static const char *const lines[] = {"banner", "deny", "force_command"};
    static const char *const others[] = {"image", "shell", "env", "labels", "commands", "hostname"};
    char text[256], expected[512];

    (void)state;
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        snprintf(text, sizeof text, "user bob {\n\n %s = \"a=b\\n\" }", others[i]);
        snprintf(expected, sizeof expected, CONF ":3: %s \"a=b\\x0a\": " TEXT_CONTROL, others[i]);
        assert_refused(text, &alice, expected);
        snprintf(text, sizeof text, "user bob {\n\n %s = \"a=\xc2\x9b\" }", others[i]);
        snprintf(expected, sizeof expected, CONF ":3: %s \"a=\\xc2\\x9b\": " TEXT_CONTROL,
                 others[i]);
        assert_refused(text, &alice, expected);
    }
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        snprintf(text, sizeof text, "user alice { image = x %s = \"a\\n\\tb\nc \\\"\\$\\\\ ä\" }",
                 lines[i]);
        cleanup_policy struct policy *p = policy_for(text, &alice);
        assert_string_equal(i == 0   ? p->banner
                            : i == 1 ? p->deny
                                     : p->force_command,
                            "a\n\tb\nc \"$\\ ä");
        snprintf(text, sizeof text, "user bob { %s = \"\xc2\x80\" }", lines[i]);
        snprintf(expected, sizeof expected, CONF ":1: %s \"\\xc2\\x80\": " TEXT_CONTROL, lines[i]);
        assert_refused(text, &alice, expected);
    }
}

static void test_too_long(void **state)
{
    enum { LONG = 131072 };
    static char text[LONG + 128];
    char expected[512];

    (void)state;
    int n = sprintf(text, "user alice { image = x force_command = \"");
    memset(text + n, 'a', LONG);
    memcpy(text + n + LONG, "\" }", 4);
    snprintf(expected, sizeof expected,
             CONF ":1: force_command \"%.64s...\": is too long: 131072 "
                  "bytes, at most 131071",
             A63 "a");
    assert_refused(text, &alice, expected);
    memcpy(text + n + LONG - 1, "\" }", 4);
    cleanup_policy struct policy *p = policy_for(text, &alice);
    assert_int_equal(strlen(p->force_command), LONG - 1);
}

static void test_too_many(void **state)
{
    static char text[32768];
    char *end = text;

    (void)state;
    end += sprintf(end, "user alice { image = x\ncommands = {");
    for (int i = 0; i < 1024; i++)
        end += sprintf(end, "\"c%d\",", i);
    memcpy(end, "} }", 4);
    cleanup_policy struct policy *p = policy_for(text, &alice);
    assert_int_equal(p->commands.count, 1024);
    memcpy(end, "\"x\"} }", 7);
    assert_refused(text, &alice, CONF ":2: commands: more than 1024 values");
}

static void test_good(void **state)
{
    (void)state;
    cleanup_policy struct policy *p = policy_for(
        "runtime_dir = \"/run/x y\"\n"
        "host_max_sessions = 500 audit_format = json\n"
        "engine { registry_config = \"/etc/docker.json\" }\n"
        "user alice {\n"
        " max_sessions = 3 max_time = 4h idle_timeout = 90 login_rate = \"10/1m\"\n"
        " cgroup_parent = \"/berth/%u\" home = \"/srv/homes/%u\"\n"
        " image = \"registry.example:5000/a/b@sha256:0123\" pull = always shell = \"/bin/bash\"\n"
        " workdir = \"/\" user = \"www-data:33\" hostname = \"" A63 "\" network = \"my_net.1\"\n"
        " dns = {\"2001:db8::1\"} tmpfs = {\"/tmp\", \"/run:size=64m,mode=1777,noexec\"}\n"
        " memory = 64M memory_swap = unlimited cpus = 0.5 pids = unlimited\n"
        " ulimits = {\"core=0\"} cap_add = {cap_sys_ptrace, \"All\"} cap_drop = \"MKNOD\"\n"
        " no_new_privileges = FALSE security_opt = {\"seccomp=unconfined\", \"label=type:x\"}\n"
        " read_only = On runtime = \"io.containerd.runsc.v1\" init = no devices = {\"/dev/fuse\"}\n"
        " labels = {\"a.b=c=d\", \"e=\"} env = {\"_A1=\", \"B=ü = x\"} accept_env = {\"*\", \"A?_1\"}"
        " tty = Off commands = {\"git-upload-pack '*'\", 'a \"b\" \\ c', sftp}\n"
        " sftp = \"image:/usr/lib/sftp-server\" sftp_root = \"/srv/%u\" sftp_read_only = yes\n"
        " sftp_audit = off umask = 0777 }",
        &alice);

    assert_string_equal(p->runtime_dir, "/run/x y");
    assert_int_equal(p->host_max_sessions, 500);
    assert_int_equal(p->audit_format, AUDIT_JSON);
    assert_string_equal(p->engine.registry_config, "/etc/docker.json");
    assert_int_equal(p->max_sessions, 3);
    assert_int_equal(p->max_time, 4 * 3600);
    assert_int_equal(p->idle_timeout, 90);
    assert_int_equal(p->login_rate.count, 10);
    assert_int_equal(p->login_rate.seconds, 60);
    assert_string_equal(p->cgroup_parent, "/berth/alice");
    assert_string_equal(p->home, "/srv/homes/alice");
    assert_string_equal(p->image, "registry.example:5000/a/b@sha256:0123");
    assert_int_equal(p->pull, PULL_ALWAYS);
    assert_string_equal(p->shell, "/bin/bash");
    assert_string_equal(p->workdir, "/");
    assert_string_equal(p->user, "www-data:33");
    assert_string_equal(p->hostname, A63);
    assert_string_equal(p->network, "my_net.1");
    assert_strings(&p->dns, "2001:db8::1");
    assert_int_equal(p->tmpfs_count, 2);
    assert_string_equal(p->tmpfs[0].options, "");
    assert_string_equal(p->tmpfs[1].options, "size=64m,mode=1777,noexec");
    assert_int_equal(p->memory, 64 << 20);
    assert_int_equal(p->memory_swap, -1);
    assert_int_equal(p->nano_cpus, 500000000);
    assert_int_equal(p->pids, -1);
    assert_strings(&p->cap_add, "SYS_PTRACE|ALL");
    assert_strings(&p->cap_drop, "MKNOD");
    assert_false(p->no_new_privileges);
    assert_strings(&p->security_opt, "seccomp=unconfined|label=type:x");
    assert_true(p->read_only);
    assert_string_equal(p->runtime, "io.containerd.runsc.v1");
    assert_false(p->init);
    assert_int_equal(p->device_count, 1);
    assert_strings(&p->labels, "a.b=c=d|e=");
    assert_strings(&p->env, "_A1=|B=ü = x");
    assert_strings(&p->accept_env, "*|A?_1");
    assert_false(p->tty);
    assert_strings(&p->commands, "git-upload-pack '*'|a \"b\" \\ c|sftp");
    assert_int_equal(p->sftp, SFTP_IMAGE);
    assert_string_equal(p->sftp_path, "/usr/lib/sftp-server");
    assert_string_equal(p->sftp_root, "/srv/alice");
    assert_true(p->sftp_read_only);
    assert_int_equal(p->sftp_audit, SFTP_AUDIT_NO);
    assert_int_equal(p->umask, 0777);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bad),      cmocka_unit_test(test_bad_text),
        cmocka_unit_test(test_too_long), cmocka_unit_test(test_too_many),
        cmocka_unit_test(test_good),
    };

    return cmocka_run_group_tests_name("policy options", tests, NULL, NULL);
}
