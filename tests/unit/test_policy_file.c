/* The files themselves: who may have written berth.conf, what `create` names,
 * and what lies on the way to a mount's source. Needs root to make files of
 * other owners. */
#include "config.h"

#include "test_policy.h"

#include "policy/mount.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

/* Below a folder that only root can write, unlike /tmp. */
static char folder[] = "/root/berth-test-XXXXXX";

static const char *in_folder(const char *name)
{
    static char paths[4][256];
    static unsigned next;
    char *path = paths[next++ % 4];

    snprintf(path, sizeof paths[0], "%s/%s", folder, name);
    return path;
}

static void file_write_bytes(const char *name, const char *text, size_t len, mode_t mode,
                             uid_t owner)
{
    const char *path = in_folder(name);

    unlink(path);
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, len), (ssize_t)len);
    assert_int_equal(fchown(fd, owner, owner), 0);
    assert_int_equal(fchmod(fd, mode), 0);
    close(fd);
}

static void file_write(const char *name, const char *text, mode_t mode, uid_t owner)
{
    file_write_bytes(name, text, strlen(text), mode, owner);
}

static int setup(void **state)
{
    (void)state;
    if (getuid() != 0)
        return 0;
    return mkdtemp(folder) && chmod(folder, 0755) == 0 ? 0 : -1;
}

static int remove_all(void **state)
{
    static const char *const names[] = {
        "conf",         "link",    "fifo",     "c.json", "dir/sub/file",
        "dir/sub/link", "dir/sub", "dir/loop", "dir",    "own",
    };

    (void)state;
    if (getuid() != 0)
        return 0;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        remove(in_folder(names[i]));
    return rmdir(folder);
}

static void needs_root(void)
{
    if (getuid() != 0) {
        print_message("skipped: only root can make files of other owners\n");
        skip();
    }
}

/* `expected` follows the path. */
static void load_refused(const char *name, const char *expected)
{
    struct error *err = NULL;
    char full[512];

    assert_null(policy_load(in_folder(name), &alice, &err));
    snprintf(full, sizeof full, "%s%s", in_folder(name), expected);
    assert_string_equal(error_text(err), full);
    error_clear(&err);
}

static void test_trusted(void **state)
{
    static const char text[] = "user alice { image = x }\n";
    struct error *err = NULL;

    (void)state;
    needs_root();
    file_write("conf", text, 0644, 0);
    cleanup_policy struct policy *p = policy_load(in_folder("conf"), &alice, &err);
    assert_non_null(p);
    assert_string_equal(p->image, "x");

    load_refused("missing", ": cannot open: No such file or directory");
    file_write("conf", text, 0664, 0);
    load_refused("conf", ": group or others may write it (mode 0664): chmod go-w it");
    file_write("conf", text, 0646, 0);
    load_refused("conf", ": group or others may write it (mode 0646): chmod go-w it");
    file_write("conf", text, 0644, 2001);
    load_refused("conf", ": owned by uid 2001, must be root's: chown root it");
    assert_int_equal(symlink("conf", in_folder("link")), 0);
    load_refused("link", ": is a symbolic link; name the file itself");
    assert_int_equal(mkfifo(in_folder("fifo"), 0644), 0);
    load_refused("fifo", ": not a regular file");
    file_write("conf", "", 0644, 0);
    assert_int_equal(truncate(in_folder("conf"), 10 << 20), 0);
    load_refused("conf", ": has 10485760 bytes, at most 1048576 are read");
    file_write("conf", "user bob {\n imag = x }", 0644, 0);
    load_refused("conf", ":2: no such option 'imag'");

    assert_null(policy_load("berth.conf", &alice, &err));
    assert_string_equal(error_text(err), "berth.conf: not an absolute path");
    error_clear(&err);
}

/* `why` begins what follows the names; json-c's own words differ by version. */
static void create_refused(const char *json, const char *why)
{
    struct error *err = NULL;
    char full[1024];

    file_write("c.json", json, 0644, 0);
    assert_null(policy_load(in_folder("conf"), &alice, &err));
    snprintf(full, sizeof full, "%s:2: create \"c.json\": %s: %s", in_folder("conf"),
             in_folder("c.json"), why);
    if (strncmp(error_text(err), full, strlen(full)) != 0)
        fail_msg("expected %s, seen %s", full, error_text(err));
    error_clear(&err);
}

static void test_create(void **state)
{
    struct error *err = NULL;
    char text[512];

    (void)state;
    needs_root();
    /* In a section that isn't alice's: the file is right or wrong for everybody. */
    file_write("conf", "user bob {\n create = \"c.json\" }", 0644, 0);
    create_refused("", "not JSON: ");
    create_refused("{\"a\": ", "not JSON: ");
    create_refused("[1]", "not a JSON object: it must begin with \"{\"");
    create_refused("null", "not a JSON object: it must begin with \"{\"");
    create_refused("1", "not a JSON object: it must begin with \"{\"");
    create_refused("{} {}", "not JSON: ");
    create_refused("{\"a\": 1,}", "not JSON: ");
    create_refused("{\"a\": \"\xff\"}", "not JSON: ");
    static const char nul[] = "{}\0{}\n";
    file_write_bytes("c.json", nul, sizeof nul - 1, 0644, 0);
    assert_null(policy_load(in_folder("conf"), &alice, &err));
    assert_non_null(strstr(error_text(err), "c.json: has something after the JSON object"));
    error_clear(&err);
    file_write("c.json", "{}", 0666, 0);
    assert_null(policy_load(in_folder("conf"), &alice, &err));
    assert_non_null(strstr(error_text(err), "c.json: group or others may write it (mode 0666)"));
    error_clear(&err);

    file_write("c.json", " {\"HostConfig\": {\"ShmSize\": 1}}\n", 0644, 0);
    snprintf(text, sizeof text, "defaults { image = x create = \"%s\" }\nuser alice { }",
             in_folder("c.json"));
    file_write("conf", text, 0644, 0);
    cleanup_policy struct policy *absolute = policy_load(in_folder("conf"), &alice, &err);
    assert_non_null(absolute);
    assert_string_equal(absolute->create, " {\"HostConfig\": {\"ShmSize\": 1}}\n");

    /* A name with %: read for the login alone. */
    file_write("conf", "user \"*\" { image = x\n create = \"%u.json\" }", 0644, 0);
    struct account who = alice;
    who.name = (char *)"c";
    cleanup_policy struct policy *own = policy_load(in_folder("conf"), &who, &err);
    assert_non_null(own);
    assert_non_null(own->create);
    assert_null(policy_load(in_folder("conf"), &alice, &err));
    snprintf(text, sizeof text,
             "%s:2: create \"%%u.json\": %s: cannot open: No such file or "
             "directory",
             in_folder("conf"), in_folder("alice.json"));
    assert_string_equal(error_text(err), text);
    error_clear(&err);
}

static void source_refused(const char *name, const char *at, const char *why)
{
    struct error *err = NULL;
    char full[512];

    assert_int_equal(mount_source_check(in_folder(name), &err), -1);
    snprintf(full, sizeof full, "%s: %s", in_folder(at), why);
    assert_string_equal(error_text(err), full);
    error_clear(&err);
}

static void source_taken(const char *name)
{
    struct error *err = NULL;

    if (mount_source_check(in_folder(name), &err) < 0)
        fail_msg("%s", error_text(err));
}

static void test_mount_source(void **state)
{
    struct error *err = NULL;

    (void)state;
    needs_root();
    assert_int_equal(mkdir(in_folder("dir"), 0755), 0);
    assert_int_equal(mkdir(in_folder("dir/sub"), 0755), 0);
    file_write("dir/sub/file", "x", 0644, 0);
    assert_int_equal(symlink("file", in_folder("dir/sub/link")), 0);
    assert_int_equal(symlink("sub", in_folder("dir/loop")), 0);

    source_taken("dir/sub/file");
    source_taken("dir/sub");
    source_taken("dir//sub/");
    assert_int_equal(mount_source_check("/", &err), 0);
    source_refused("dir/none", "dir/none", "cannot open: No such file or directory");
    source_refused("dir/none/x", "dir/none", "cannot open: No such file or directory");
    source_refused("dir/sub/link", "dir/sub/link", "is a symbolic link; name what it points to");
    source_refused("dir/loop", "dir/loop", "is a symbolic link; name what it points to");
    source_refused("dir/loop/file", "dir/loop", "is a symbolic link; name what it points to");
    source_refused("dir/sub/file/x", "dir/sub/file", "Not a directory");
    source_refused("dir/../dir", "dir/../dir", "has \"..\" in it");

    /* The last part may be anybody's, and writable; nothing before it. */
    assert_int_equal(chown(in_folder("dir/sub"), 2001, 2001), 0);
    assert_int_equal(chmod(in_folder("dir/sub"), 0777), 0);
    source_taken("dir/sub");
    source_refused("dir/sub/file", "dir/sub",
                   "owned by uid 2001, must be root's, or its owner "
                   "could put something else below it");
    assert_int_equal(chown(in_folder("dir/sub"), 0, 0), 0);
    assert_int_equal(chmod(in_folder("dir/sub"), 01777), 0);
    source_refused("dir/sub/file", "dir/sub",
                   "group or others may write it (mode 1777), so they "
                   "could put something else below it");
    assert_int_equal(chmod(in_folder("dir/sub"), 0775), 0);
    source_refused("dir/sub/file", "dir/sub",
                   "group or others may write it (mode 0775), so they "
                   "could put something else below it");
    assert_int_equal(chown(in_folder("dir/sub"), 2002, 2001), 0);
    source_taken("dir/sub");

    assert_int_equal(mount_source_check("srv", &err), -1);
    assert_string_equal(error_text(err), "srv: not an absolute path");
    error_clear(&err);
}

static void engine_is(const struct account *account, const char *socket, bool varies)
{
    struct error *err = NULL;
    bool each = !varies;
    struct policy *policy = policy_load_engine(in_folder("conf"), account, &each, &err);

    if (!policy)
        fail_msg("%s", error_text(err));
    assert_string_equal(policy->engine.socket, socket);
    assert_string_equal(policy->runtime_dir, "/run/x");
    assert_int_equal(each, varies);
    policy_free(policy);
}

/* Whoever it is: no user section needs to match. */
static void test_engine_alone(void **state)
{
    const struct account gone = {.name = (char *)"", .home = (char *)"", .uid = 2009, .gid = 2009};
    struct error *err = NULL;
    bool each;

    (void)state;
    needs_root();
    file_write("conf", "runtime_dir = \"/run/x\"\nengine { endpoint = \"unix:///run/e\" }\n", 0644,
               0);
    engine_is(&gone, "/run/e", false);
    file_write("conf",
               "runtime_dir = \"/run/x\"\nengine { endpoint = \"unix:///run/user/%U/e\" }\n", 0644,
               0);
    engine_is(&gone, "/run/user/2009/e", true);
    file_write("conf", "runtime_dir = \"/run/x\"\nengine { endpoint = \"unix:///run/%u\" }\n", 0644,
               0);
    engine_is(&alice, "/run/alice", true);
    assert_null(policy_load_engine(in_folder("conf"), &gone, &each, &err));
    assert_non_null(strstr(error_text(err), "is empty"));
    error_clear(&err);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_trusted),
        cmocka_unit_test(test_create),
        cmocka_unit_test(test_mount_source),
        cmocka_unit_test(test_engine_alone),
    };

    return cmocka_run_group_tests_name("policy files", tests, setup, remove_all);
}
