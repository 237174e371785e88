#include "config.h"

#include "session/spec.h"

#include "base/text.h"
#include "session/command.h"
#include "session/environment.h"

#include <inttypes.h>
#include <json-c/json.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define S(s) ((char *)(s))

static struct policy plain_policy(void)
{
    return (struct policy){.runtime_dir = S("/run/berth"),
                           .image = S("lab:1"),
                           .user = S("2001:2001"),
                           .network = S("bridge"),
                           .pids = 256,
                           .umask = DEFAULT_UMASK,
                           .no_new_privileges = true,
                           .init = true,
                           .tty = true};
}

static struct request plain_request(const char *command)
{
    return (struct request){
        .account = {.name = S("anna"), .home = S("/home/anna"), .uid = 2001, .gid = 2001},
        .kind = command ? REQUEST_EXEC : REQUEST_SHELL,
        .command = S(command),
        .session = "9f8e7d6c5b4a3921"};
}

/* The value at "HostConfig.AutoRemove" as JSON text. */
static void assert_json(struct json_object *o, const char *path, const char *expected)
{
    char *copy = strdup(path), *save = NULL;

    for (char *key = strtok_r(copy, "/", &save); key; key = strtok_r(NULL, "/", &save))
        if (!json_object_object_get_ex(o, key, &o))
            fail_msg("%s is not there", path);
    free(copy);
    const char *seen = json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN |
                                                             JSON_C_TO_STRING_NOSLASHESCAPE);
    if (strcmp(seen, expected) != 0)
        fail_msg("%s: wanted %s, saw %s", path, expected, seen);
}

static struct json_object *make(const struct policy *p, const struct request *r,
                                const struct spec_context *context)
{
    struct error *err = NULL;
    struct json_object *body = spec_make(p, r, context, &err);

    if (!body)
        fail_msg("%s", error_text(err));
    return body;
}

/* The display's place comes with the container's folder, read-only. */
static void test_a_place_for_displays(void **state)
{
    struct policy p = plain_policy();
    struct request r = plain_request("true");
    struct spec_context context = {.machine = "3d1219c7",
                                   .key = "9f8e7d6c5b4a3921",
                                   .folder = "/run/berth/2001/9f8e7d6c5b4a3921",
                                   .x11 = true};

    (void)state;
    snprintf(r.display, sizeof r.display, ":10.0");
    snprintf(r.xauthority, sizeof r.xauthority, "/.berth/run/xauthority.9f8e7d6c5b4a3921");
    struct json_object *body = make(&p, &r, &context);
    assert_json(body, "HostConfig/Mounts",
                "[{\"Type\":\"bind\",\"Source\":\"/run/berth/2001/9f8e7d6c5b4a3921\","
                "\"Target\":\"/.berth/run\",\"ReadOnly\":true},"
                "{\"Type\":\"bind\",\"Source\":\"/run/berth/2001/9f8e7d6c5b4a3921/x11\","
                "\"Target\":\"/tmp/.X11-unix\",\"ReadOnly\":true}]");
    assert_json(body, "Env",
                "[\"USER=anna\",\"LOGNAME=anna\",\"DISPLAY=:10.0\","
                "\"XAUTHORITY=/.berth/run/xauthority.9f8e7d6c5b4a3921\"]");
    json_object_put(body);
    context.x11 = false;
    body = make(&p, &r, &context);
    assert_json(body, "HostConfig/Mounts",
                "[{\"Type\":\"bind\",\"Source\":\"/run/berth/2001/9f8e7d6c5b4a3921\","
                "\"Target\":\"/.berth/run\",\"ReadOnly\":true}]");
    json_object_put(body);
}

static void test_create_cannot_take_over(void **state)
{
    struct policy p = plain_policy();
    struct request r = plain_request("true");
    struct spec_context context = {.machine = "3d1219c7", .key = "9f8e7d6c5b4a3921"};

    (void)state;
    p.create = S(
        "{\"Tty\":true,\"OpenStdin\":false,\"StopSignal\":\"INT\",\"Labels\":{\"berth.uid\":\"0\",\"x\":\"y\"},"
        "\"HostConfig\":{\"AutoRemove\":false,\"ShmSize\":1048576}}");
    struct json_object *body = make(&p, &r, &context);
    assert_json(body, "Labels/berth.uid", "\"2001\"");
    assert_json(body, "Labels/berth.session", "\"9f8e7d6c5b4a3921\"");
    assert_json(body, "Labels/x", "\"y\"");
    assert_json(body, "Tty", "false");
    assert_json(body, "OpenStdin", "true");
    assert_json(body, "StopSignal", "\"INT\"");
    assert_json(body, "HostConfig/AutoRemove", "true");
    assert_json(body, "HostConfig/ShmSize", "1048576");
    /* What it doesn't name stays. */
    assert_json(body, "HostConfig/PidsLimit", "256");
    assert_json(body, "HostConfig/SecurityOpt", "[\"no-new-privileges\"]");
    assert_json(body, "HostConfig/LogConfig/Type", "\"none\"");
    assert_json(body, "Healthcheck/Test", "[\"NONE\"]");
    json_object_put(body);
    /* No object in an object's place: it would take all limits away. */
    struct error *err = NULL;
    p.create = S("{\"HostConfig\":null}");
    assert_null(spec_make(&p, &r, &context, &err));
    assert_string_equal(error_text(err), "create: HostConfig must be an object");
    error_clear(&err);
    /* The engine takes these names for ours. */
    static const char *const other[] = {
        "{\"hostconfig\":null}", "{\"tty\":true}", "{\"labels\":{\"berth.uid\":\"0\"}}",
        "{\"HostConfig\":{\"autoremove\":false}}", "{\"Label\xc5\xbf\":{}}"};
    for (size_t i = 0; i < sizeof other / sizeof *other; i++) {
        p.create = S(other[i]);
        assert_null(spec_make(&p, &r, &context, &err));
        assert_non_null(strstr(error_text(err), i < 4 ? "write it as" : "is ASCII"));
        error_clear(&err);
    }
}

/* The guest is PID 1 whatever `create` says, and has its programs and its folder. */
static void test_direct(void **state)
{
    struct policy p = plain_policy();
    struct request r = plain_request("true");
    struct spec_context context = {.process = SPEC_GUEST,
                                   .machine = "3d1219c7",
                                   .local = true,
                                   .folder = "/run/berth/2001/user",
                                   .key = "user"};
    char hash[SPEC_HASH_SIZE], other[SPEC_HASH_SIZE];

    (void)state;
    p.scope = SCOPE_USER;
    p.create = S("{\"Entrypoint\":[\"/bin/evil\"],\"Cmd\":[\"x\"],\"OpenStdin\":true,"
                 "\"StopSignal\":\"QUIT\","
                 "\"HostConfig\":{\"Init\":true,\"AutoRemove\":true,\"Mounts\":[]}}");
    struct json_object *body = make(&p, &r, &context);
    assert_json(body, "Entrypoint", "[\"/.berth/berth-guest\"]");
    assert_json(body, "Cmd", "[]");
    assert_json(body, "OpenStdin", "false");
    assert_json(body, "StopSignal", "\"SIGTERM\"");
    assert_json(body, "HostConfig/Init", "false");
    assert_json(body, "HostConfig/AutoRemove", "false");
    assert_json(body, "Labels/berth.session", "\"user\"");
    assert_json(body, "Labels/berth.scope", "\"user\"");
    const char *mounts = json_object_to_json_string_ext(
        json_object_object_get(json_object_object_get(body, "HostConfig"), "Mounts"),
        JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE);
    assert_non_null(strstr(mounts, "\"Source\":\"/run/berth/2001/user\",\"Target\":\"/.berth/run\","
                                   "\"ReadOnly\":true"));
    /* The same for each login; another policy has another. */
    spec_hash(hash, body);
    /* Not of the body alone: of the protocol's version, too. */
    snprintf(other, sizeof other, "%016" PRIx64,
             text_hash(json_object_to_json_string_ext(body, JSON_C_TO_STRING_PLAIN)));
    assert_string_not_equal(hash, other);
    json_object_put(body);
    r = plain_request("something else");
    body = make(&p, &r, &context);
    spec_hash(other, body);
    json_object_put(body);
    assert_string_equal(hash, other);
    p.pids = 17;
    body = make(&p, &r, &context);
    spec_hash(other, body);
    json_object_put(body);
    assert_string_not_equal(hash, other);
}

/* An image may have the label too: it is said either way. */
static void test_keep(void **state)
{
    struct policy p = plain_policy();
    struct request r = plain_request("true");
    struct spec_context context = {.machine = "3d1219c7", .key = "user"};
    static const struct {
        enum scope scope;
        enum on_idle on_idle;
        const char *keep;
    } cases[] = {{SCOPE_USER, ON_IDLE_STOP, "\"1\""},
                 {SCOPE_CONNECTION, ON_IDLE_STOP, "\"0\""},
                 {SCOPE_SESSION, ON_IDLE_STOP, "\"0\""},
                 {SCOPE_USER, ON_IDLE_REMOVE, "\"0\""}};

    (void)state;
    p.create = S("{\"Labels\":{\"berth.keep\":\"x\"}}");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        p.scope = cases[i].scope;
        p.on_idle = cases[i].on_idle;
        struct json_object *body = make(&p, &r, &context);
        assert_json(body, "Labels/berth.keep", cases[i].keep);
        json_object_put(body);
    }
}

/* The files and the process: the mount is the policy's own (policy/home.h). */
static void test_home_and_cgroup(void **state)
{
    struct policy p = plain_policy();
    struct request r = plain_request("true");
    struct spec_context context = {.machine = "m", .key = "9f8e7d6c5b4a3921"};
    struct mount mount = {.source = S("home-anna"), .target = S("/home/anna"), .volume = true};
    struct json_object *ignored;

    (void)state;
    struct json_object *body = make(&p, &r, &context);
    assert_false(json_object_object_get_ex(json_object_object_get(body, "HostConfig"),
                                           "CgroupParent", &ignored));
    json_object_put(body);
    p.cgroup_parent = S("/berth/anna");
    p.home = mount.source;
    p.home_at = p.workdir = mount.target;
    p.mounts = &mount;
    p.mount_count = 1;
    strings_add(&p.env, "HOME=/other");
    body = make(&p, &r, &context);
    assert_json(body, "HostConfig/CgroupParent", "\"/berth/anna\"");
    assert_json(body, "HostConfig/Mounts",
                "[{\"Type\":\"volume\",\"Source\":\"home-anna\",\"Target\":\"/home/anna\","
                "\"ReadOnly\":false,\"VolumeOptions\":{\"NoCopy\":true}}]");
    assert_json(body, "WorkingDir", "\"/home/anna\"");
    /* The last one counts. */
    assert_json(body, "Env",
                "[\"USER=anna\",\"LOGNAME=anna\",\"HOME=/home/anna\",\"HOME=/other\"]");
    json_object_put(body);
    strings_free(&p.env);
}

/* A volume of `mounts` that happens to be at the login's home. */
static void test_volume_at_home(void **state)
{
    struct policy p = plain_policy();
    struct request r = plain_request("true");
    struct spec_context context = {.machine = "m", .key = "9f8e7d6c5b4a3921"};
    struct mount mount = {.source = S("work"), .target = S("/home/anna"), .volume = true};

    (void)state;
    p.home_at = mount.target;
    p.mounts = &mount;
    p.mount_count = 1;
    struct json_object *body = make(&p, &r, &context);
    assert_json(body, "HostConfig/Mounts",
                "[{\"Type\":\"volume\",\"Source\":\"work\",\"Target\":\"/home/anna\","
                "\"ReadOnly\":false}]");
    json_object_put(body);
}

/* What `create` says of the network may leave no room for a hostname. */
static void test_hostname(void **state)
{
    static const struct {
        const char *create;
        bool named;
    } cases[] = {{"{}", true},
                 {"{\"HostConfig\":{\"NetworkMode\":null}}", true},
                 {"{\"HostConfig\":{\"NetworkMode\":\"lab\"}}", true},
                 {"{\"HostConfig\":{\"NetworkMode\":\"host\"}}", false},
                 {"{\"HostConfig\":{\"NetworkMode\":\"container:vpn\"}}", false},
                 {"{\"HostConfig\":{\"UTSMode\":\"host\"}}", false}};
    struct policy p = plain_policy();
    struct request r = plain_request("true");
    struct spec_context context = {.machine = "m", .key = "9f8e7d6c5b4a3921"};
    struct json_object *ignored;

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        p.create = S(cases[i].create);
        struct json_object *body = make(&p, &r, &context);
        assert_int_equal(json_object_object_get_ex(body, "Hostname", &ignored), cases[i].named);
        json_object_put(body);
    }
}

/* The engine takes no name and no port beside another container's network. */
static void test_joined_network(void **state)
{
    struct policy p = plain_policy();
    struct request r = plain_request("true");
    struct spec_context context = {
        .machine = "3d1219c7", .key = "9f8e7d6c5b4a3921", .local = true, .network = "container:ab"};
    static const char *const gone[] = {"Hostname", "ExposedPorts", "NetworkDisabled"};
    struct json_object *host = NULL, *value = NULL;

    (void)state;
    p.forwarding = true;
    p.network = S("none");
    p.hostname = S("box");
    p.create = S(
        "{\"ExposedPorts\":{\"80/tcp\":{}},\"HostConfig\":{\"ExtraHosts\":[\"a:1.2.3.4\"]}}");
    struct json_object *body = make(&p, &r, &context);
    assert_json(body, "HostConfig/NetworkMode", "\"container:ab\"");
    for (size_t i = 0; i < sizeof gone / sizeof *gone; i++)
        assert_false(json_object_object_get_ex(body, gone[i], &value));
    assert_true(json_object_object_get_ex(body, "HostConfig", &host));
    assert_false(json_object_object_get_ex(host, "ExtraHosts", &value));
    assert_false(json_object_object_get_ex(host, "Dns", &value));
    json_object_put(body);
}

/* sshd would enter it. */
static void test_networks_that_are_others(void **state)
{
    static const char *const modes[] = {"host", "container:ab"};
    struct policy p = plain_policy();
    struct request r = plain_request("true");
    struct spec_context context = {.machine = "3d1219c7", .key = "9f8e7d6c5b4a3921"};

    (void)state;
    for (size_t i = 0; i < sizeof modes / sizeof *modes; i++) {
        char create[96];
        cleanup_error struct error *err = NULL;
        snprintf(create, sizeof create, "{\"HostConfig\":{\"NetworkMode\":\"%s\"}}", modes[i]);
        p.create = create;
        p.forwarding = true;
        assert_null(spec_make(&p, &r, &context, &err));
        assert_non_null(strstr(error_text(err), "forwarding = container"));
        assert_non_null(strstr(error_text(err), modes[i]));
        p.forwarding = false;
        json_object_put(make(&p, &r, &context));
    }
}

static void test_window(void **state)
{
    struct policy p = plain_policy();
    struct request r = plain_request(NULL);
    struct spec_context context = {.machine = "m",
                                   .console_size = true,
                                   .has_window = true,
                                   .window = {.ws_row = 33, .ws_col = 101}};

    (void)state;
    r.tty = true;
    p.shell = S("/bin/ash");
    struct json_object *body = make(&p, &r, &context);
    assert_json(body, "HostConfig/ConsoleSize", "[33,101]");
    assert_json(body, "Entrypoint", "[\"/bin/ash\",\"-l\"]");
    json_object_put(body);
}

static void assert_argv(const struct policy *p, const struct request *r, const struct winsize *size,
                        const char *const *tail)
{
    cleanup_strings struct strings argv = {0};
    struct error *err = NULL;
    size_t count = 0;

    const struct command_context context = {.size = size};

    assert_int_equal(command_make(&argv, p, r, &context, &err), 0);
    while (tail[count])
        count++;
    assert_true(argv.count >= count);
    for (size_t i = 0; i < count; i++)
        assert_string_equal(argv.items[argv.count - count + i], tail[i]);
}

static void test_argv(void **state)
{
    struct policy p = plain_policy();
    struct request r = plain_request("/bin/a; /bin/b 'x'\n$HOME");
    struct winsize size = {.ws_row = 24, .ws_col = 80};

    (void)state;
    assert_argv(&p, &r, NULL, (const char *[]){"sh", "2001", r.command, NULL});
    assert_argv(&p, &r, &size, (const char *[]){"sh", "24", "80", "2001", r.command, NULL});
    p.shell = S("/bin/zsh");
    assert_argv(&p, &r, NULL, (const char *[]){"/bin/zsh", "-c", r.command, NULL});
    r.command = S("x\xff\\\xc3\xbc");
    assert_argv(&p, &r, NULL, (const char *[]){"/bin/zsh", "x\\0377\\0134\\0303\\0274", NULL});
    p.force_command = S("menu");
    assert_argv(&p, &r, NULL, (const char *[]){"/bin/zsh", "-c", "menu", NULL});
    p.force_command = NULL;
    p.sftp = SFTP_IMAGE;
    p.sftp_path = S("/opt/sftp-server");
    r.kind = REQUEST_SFTP;
    r.command = S("internal-sftp  -u 0022\t-R");
    assert_argv(&p, &r, NULL,
                (const char *[]){
                    "sh",
                    "image lab:1 has no sftp-server at /opt/sftp-server: install one in it, or "
                    "name the one it has in berth.conf: sftp = \"image:/path\"",
                    "0", "1", "/opt/sftp-server", "-u", "0022", "-R", NULL});
    r.kind = REQUEST_EXEC;
    p.umask = 0027;
    r.command = S("a");
    assert_argv(&p, &r, &size, (const char *[]){"sh", "0027", "24", "80", "/bin/zsh", "a", NULL});
    assert_argv(&p, &r, NULL, (const char *[]){"sh", "0027", "/bin/zsh", "a", NULL});
}

static void test_too_long(void **state)
{
    struct policy p = plain_policy();
    char *command = malloc(ARGUMENT_MAX + 2);
    cleanup_strings struct strings fits = {0}, too_long = {0};
    const struct command_context none = {0};
    struct error *err = NULL;

    (void)state;
    memset(command, 'x', ARGUMENT_MAX + 1);
    command[ARGUMENT_MAX] = '\0';
    struct request r = plain_request(command);
    assert_int_equal(command_make(&fits, &p, &r, &none, &err), 0);
    command[ARGUMENT_MAX] = 'x';
    command[ARGUMENT_MAX + 1] = '\0';
    assert_int_equal(command_make(&too_long, &p, &r, &none, &err), -1);
    assert_non_null(strstr(error_text(err), "131072 bytes"));
    error_clear(&err);
    free(command);
}

static bool has(const struct strings *env, const char *entry)
{
    for (size_t i = 0; i < env->count; i++)
        if (strcmp(env->items[i], entry) == 0)
            return true;
    return false;
}

/* In no shell's hands, as a command is, and the engine would make something else of them. */
static void test_sftp_arguments_that_json_lacks(void **state)
{
    struct policy p = plain_policy();
    struct request r = plain_request("internal-sftp -d /\xff");
    cleanup_strings struct strings argv = {0};
    const struct command_context none = {0};
    cleanup_error struct error *err = NULL;

    (void)state;
    p.sftp = SFTP_IMAGE;
    r.kind = REQUEST_SFTP;
    assert_int_equal(command_make(&argv, &p, &r, &none, &err), -1);
    assert_string_equal(error_text(err),
                        "the command's arguments are not UTF-8, and the engine takes no others");
}

static void test_environment(void **state)
{
    struct policy p = plain_policy();
    struct request r = plain_request("true");
    cleanup_strings struct strings env = {0};
    struct error *err = NULL;

    (void)state;
    strings_add(&p.accept_env, "*");
    strings_add(&p.env, "EDITOR=vi");
    strings_add(&r.env, "LC_X=1");
    strings_add(&r.env, "LC_BAD=\xff");
    strings_add(&r.env, "9X=1");
    strings_add(&r.env, "no equals");
    strings_add(&r.env, "NO_VALUE");
    strings_add(&r.env, "USER=root");
    strings_add(&r.env, "SSH_ORIGINAL_COMMAND=true");
    strings_add(&r.env, "SSH_TTY=/dev/pts/3");
    assert_int_equal(environment_make(&env, &p, &r, false, &err), 0);
    assert_true(has(&env, "USER=anna"));
    assert_true(has(&env, "LC_X=1"));
    assert_true(has(&env, "EDITOR=vi"));
    assert_false(has(&env, "USER=root"));
    assert_int_equal(env.count, 4); /* with LOGNAME */
    strings_free(&p.accept_env);
    strings_free(&p.env);
    strings_free(&r.env);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_place_for_displays),
        cmocka_unit_test(test_create_cannot_take_over),
        cmocka_unit_test(test_direct),
        cmocka_unit_test(test_keep),
        cmocka_unit_test(test_home_and_cgroup),
        cmocka_unit_test(test_volume_at_home),
        cmocka_unit_test(test_hostname),
        cmocka_unit_test(test_joined_network),
        cmocka_unit_test(test_networks_that_are_others),
        cmocka_unit_test(test_window),
        cmocka_unit_test(test_argv),
        cmocka_unit_test(test_too_long),
        cmocka_unit_test(test_sftp_arguments_that_json_lacks),
        cmocka_unit_test(test_environment),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
