#include "config.h"

#include "session/names.h"

#include "base/file.h"
#include "base/runtime.h"
#include "engine/archive.h"
#include "policy/mount.h"
#include "policy/passwd.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define FOLDER "names"
#define PASSWD "/etc/passwd"
#define GROUP  "/etc/group"
#define BASH   "/bin/bash"

enum {
    FILE_MOST = 1024 * 1024,
    NOTE_MOST = 8 * 1024 * 1024, /* 65,536 groups with their names (credentials(7)) */
    LINKS_MOST = 8,
    NAME_SIZE = 40,
    HOME_MODE = 0755,
    LOCK_MS = 2000,
    OLD_S = 7 * 24 * 60 * 60,
};

/* What the image has. */
struct image_files {
    struct text passwd, group;
    bool bash, home;
};

static void image_files_free(struct image_files *f)
{
    text_free(&f->passwd);
    text_free(&f->group);
}

enum names_way names_way(const struct session *s)
{
    const struct policy *p = s->policy;
    struct passwd_ids ids;

    if (!p->names || !passwd_ids(&ids, p->user) || ids.uid == 0 ||
        !passwd_takes(s->request.account.name))
        return NAMES_NONE;
    if (p->engine.socket && (!policy_keeps(p) || p->read_only))
        return NAMES_MOUNT;
    return p->read_only ? NAMES_NONE : NAMES_PUT;
}

char *names_text(const struct session *s)
{
    const struct policy *p = s->policy;
    struct text t = {0};

    text_printf(&t, "%s\n%s\n%s\n%s\n%s\n", p->image, p->user, s->request.account.name,
                p->home_at ? p->home_at : "/", p->shell ? p->shell : "");
    for (size_t i = 0; i < p->group_ids.count; i++)
        text_printf(&t, "%s\n", p->group_ids.items[i]);
    return text_take(&t);
}

/* The note beside the files, "IMAGE HOME\n" and the text above, is written last and read
 * first. Files of no image are those that a container needs which was made before: they are
 * none to make another one of. */
static bool read_note(struct names *names, int folder, const char *text)
{
    cleanup_fd int fd = runtime_open_own(folder, names->key, O_RDONLY);
    size_t len, id;
    cleanup_string char *note = fd >= 0 ? file_read_all(fd, NOTE_MOST, &len) : NULL;

    if (!note)
        return false;
    id = strcspn(note, " ");
    if (id == 0 || id >= IMAGE_ID_SIZE || strlen(note + id) < 3 || !strchr("01", note[id + 1]) ||
        note[id + 2] != '\n' || strcmp(note + id + 3, text) != 0)
        return false;
    memcpy(names->image, note, id);
    names->image[id] = '\0';
    names->home = note[id + 1] == '1';
    (void)futimens(fd, NULL); /* it is in use: see drop_old */
    return true;
}

static int open_folder(const struct session *s, bool make)
{
    if (make && mkdirat(s->lease.dir, FOLDER, 0700) < 0 && errno != EEXIST)
        return -1;
    return openat(s->lease.dir, FOLDER, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

void names_recall(struct names *names, const struct session *s)
{
    cleanup_string char *text = NULL;

    *names = (struct names){.way = names_way(s)};
    if (names->way != NAMES_MOUNT || !(text = names_text(s)))
        return;
    /* A kept container is started again with what it was made with, whatever the policy says
     * by then: its files go by the container. */
    if (policy_keeps(s->policy))
        snprintf(names->key, sizeof names->key, "%s", s->key);
    else
        snprintf(names->key, sizeof names->key, "%016" PRIx64, text_hash(text));
    cleanup_fd int folder = open_folder(s, false);
    names->known = folder >= 0 && read_note(names, folder, text);
}

/* A link is followed as the container would: from its own root. */
static int read_followed(struct engine *engine, const char *container, const char *path,
                         struct text *content, struct error **err)
{
    cleanup_string char *at = strdup(path);

    for (int i = 0; at && i < LINKS_MOST; i++) {
        struct archive_entry entry;
        int rc = archive_read(engine, container, at, FILE_MOST, &entry, err);
        if (rc == 0 && entry.type == ARCHIVE_FILE) {
            *content = entry.content;
            return 0;
        }
        text_free(&entry.content);
        if (rc < 0 || entry.type != ARCHIVE_LINK || !entry.link[0])
            return rc;
        char *next = entry.link[0] == '/'
                         ? strdup(entry.link)
                         : text_format("%.*s%s", (int)(strrchr(at, '/') + 1 - at), at, entry.link);
        free(at);
        at = next;
    }
    return at ? 0 : error_set(err, ENOMEM, "%s", path);
}

static int read_type(struct engine *engine, const char *container, const char *path,
                     enum archive_type *type, struct error **err)
{
    struct archive_entry entry;

    if (archive_read(engine, container, path, 0, &entry, err) < 0)
        return -1;
    *type = entry.type;
    return 0;
}

static int read_image(const struct session *s, struct engine *engine, struct image_files *f,
                      struct error **err)
{
    const struct policy *p = s->policy;
    enum archive_type bash = ARCHIVE_NONE, home = ARCHIVE_FOLDER;

    if (read_followed(engine, s->container, PASSWD, &f->passwd, err) < 0 ||
        read_followed(engine, s->container, GROUP, &f->group, err) < 0)
        return -1;
    if (!p->shell && read_type(engine, s->container, BASH, &bash, err) < 0)
        return -1;
    if (p->home_at && read_type(engine, s->container, p->home_at, &home, err) < 0)
        return -1;
    f->bash = bash != ARCHIVE_NONE;
    f->home = home != ARCHIVE_NONE;
    return 0;
}

static int make_files(const struct session *s, const struct image_files *f, struct text *passwd,
                      struct text *group, struct error **err)
{
    const struct policy *p = s->policy;
    struct passwd_login login = {.name = s->request.account.name,
                                 .home = p->home_at ? p->home_at : "/",
                                 .shell = p->shell,
                                 .bash = f->bash,
                                 .groups = &p->group_ids};

    (void)passwd_ids(&login.ids, p->user);
    passwd_make(passwd, &login, &f->passwd);
    passwd_make_group(group, &login, &f->passwd, &f->group);
    return passwd->failed || group->failed ? error_set(err, ENOMEM, "names") : 0;
}

static int write_file(int folder, const char *name, const struct text *content, mode_t mode,
                      struct error **err)
{
    char temporary[NAME_SIZE];
    const char *at = text_str(content);
    size_t left = content->len;

    snprintf(temporary, sizeof temporary, "%s~", name);
    cleanup_fd int fd = openat(folder, temporary,
                               O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, mode);
    while (fd >= 0 && left > 0) {
        ssize_t n = write(fd, at, left);
        if (n < 0 && errno != EINTR)
            break;
        at += n > 0 ? n : 0;
        left -= n > 0 ? (size_t)n : 0;
    }
    /* Whatever the umask: the container's uid may be any. */
    if (fd >= 0 && left == 0 && fchmod(fd, mode) == 0 &&
        renameat(folder, temporary, folder, name) == 0)
        return 0;
    error_set(err, errno, "cannot write %s in the runtime directory", name);
    unlinkat(folder, temporary, 0);
    return -1;
}

static void file_name(char name[NAME_SIZE], const struct names *names, const char *kind)
{
    snprintf(name, NAME_SIZE, "%s.%s", names->key, kind);
}

/* What no container was made with for long: each image's name, and each other set of groups,
 * leaves some in what may be memory. A kept container's own goes by another name, and is
 * needed whenever it is started again. */
static void drop_old(int folder)
{
    int fd = openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *list = fd >= 0 ? fdopendir(fd) : NULL;

    if (!list)
        close_fd(&fd);
    for (struct dirent *e; list && (e = readdir(list));) {
        struct names old = {0};
        char name[NAME_SIZE];
        struct stat st;
        if (strlen(e->d_name) != sizeof old.key - 1 ||
            strspn(e->d_name, "0123456789abcdef") != sizeof old.key - 1 ||
            fstatat(folder, e->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
            time(NULL) - st.st_mtim.tv_sec < OLD_S)
            continue;
        (void)unlinkat(folder, e->d_name, 0);
        memcpy(old.key, e->d_name, sizeof old.key);
        file_name(name, &old, "passwd");
        (void)unlinkat(folder, name, 0);
        file_name(name, &old, "group");
        (void)unlinkat(folder, name, 0);
    }
    if (list)
        closedir(list);
}

static int keep(const struct names *names, const struct session *s, const struct text *passwd,
                const struct text *group, struct error **err)
{
    char name[NAME_SIZE];
    cleanup_text struct text note = {0};
    cleanup_string char *text = names_text(s);
    cleanup_fd int folder = open_folder(s, true);

    if (folder < 0)
        return error_set(err, errno, "cannot make folder " FOLDER " in the runtime directory");
    /* Others may be at it too. */
    if (file_lock(folder, LOCK_MS, err) < 0)
        return error_wrap(err, "folder " FOLDER " in the runtime directory");
    drop_old(folder);
    text_printf(&note, "%s %d\n%s", names->image, names->home, text ? text : "");
    if (note.failed || !text)
        return error_set(err, ENOMEM, "names");
    file_name(name, names, "passwd");
    if (write_file(folder, name, passwd, 0644, err) < 0)
        return -1;
    file_name(name, names, "group");
    if (write_file(folder, name, group, 0644, err) < 0)
        return -1;
    return write_file(folder, names->key, &note, 0600, err);
}

static bool are_there(const struct names *names, const struct session *s)
{
    cleanup_fd int folder = open_folder(s, false);
    char passwd[NAME_SIZE], group[NAME_SIZE];

    file_name(passwd, names, "passwd");
    file_name(group, names, "group");
    return folder >= 0 && faccessat(folder, passwd, F_OK, 0) == 0 &&
           faccessat(folder, group, F_OK, 0) == 0;
}

int names_learn(struct names *names, const struct session *s, struct engine *engine,
                struct error **err)
{
    cleanup_text struct text passwd = {0}, group = {0};
    struct container_state state = {0};
    struct image_files f = {0};
    int rc = 0;

    if (!engine && are_there(names, s))
        return 0;
    if (engine && (container_ask(engine, s->container, &state, NULL, NULL, err) < 0 ||
                   read_image(s, engine, &f, err) < 0))
        rc = -1;
    names->home = f.home;
    memcpy(names->image, state.image, sizeof names->image);
    if (rc == 0)
        rc = make_files(s, &f, &passwd, &group, err);
    if (rc == 0)
        rc = keep(names, s, &passwd, &group, err);
    names->known = rc == 0;
    image_files_free(&f);
    return rc < 0 ? error_wrap(err, "no names for the login in its container") : 0;
}

/* "/source:/target:ro", or "/target" */
static bool bind_covers(const char *bind, const char *path)
{
    const char *target = strchr(bind, ':');

    target = target ? target + 1 : bind;
    cleanup_string char *only = strndup(target, strcspn(target, ":"));
    return only && mount_covers(only, path);
}

/* The engine takes a key in whatever case. */
static bool mount_object_covers(struct json_object *mount, const char *path)
{
    if (!json_object_is_type(mount, json_type_object))
        return false;
    json_object_object_foreach(mount, key, value)
    {
        if (strcasecmp(key, "Target") == 0 && json_object_is_type(value, json_type_string) &&
            mount_covers(json_object_get_string(value), path))
            return true;
    }
    return false;
}

static bool any_item_covers(struct json_object *host, const char *key, const char *path)
{
    struct json_object *list = NULL;

    if (!json_object_object_get_ex(host, key, &list) || !json_object_is_type(list, json_type_array))
        return false;
    for (size_t i = 0; i < json_object_array_length(list); i++) {
        struct json_object *item = json_object_array_get_idx(list, i);
        if (json_object_is_type(item, json_type_string)
                ? bind_covers(json_object_get_string(item), path)
                : mount_object_covers(item, path))
            return true;
    }
    return false;
}

static bool any_key_covers(struct json_object *o, const char *member, const char *path)
{
    struct json_object *found = NULL;

    if (!json_object_object_get_ex(o, member, &found) ||
        !json_object_is_type(found, json_type_object))
        return false;
    json_object_object_foreach(found, key, value)
    {
        (void)value;
        if (mount_covers(key, path))
            return true;
    }
    return false;
}

/* By the options or by `create`: the administrator's own is meant, and in a directory of his
 * even the place for a mount would be made on this machine. */
static bool is_covered(struct json_object *body, const char *path)
{
    struct json_object *host = NULL;

    return any_key_covers(body, "Volumes", path) ||
           (json_object_object_get_ex(body, "HostConfig", &host) &&
            (any_item_covers(host, "Mounts", path) || any_item_covers(host, "Binds", path)));
}

static bool is_home_free(struct json_object *body, const struct policy *p)
{
    struct json_object *host = NULL;

    return p->home_free && !is_covered(body, p->home_at) &&
           !(json_object_object_get_ex(body, "HostConfig", &host) &&
             any_key_covers(host, "Tmpfs", p->home_at));
}

static struct json_object *member(struct json_object *o, const char *key, enum json_type type)
{
    struct json_object *found = NULL;

    if (json_object_object_get_ex(o, key, &found) && json_object_is_type(found, type))
        return found;
    found = type == json_type_array ? json_object_new_array() : json_object_new_object();
    json_object_object_add(o, key, found);
    return found;
}

static int add_mount(struct json_object *mounts, const struct names *names, const struct session *s,
                     const char *kind, const char *target)
{
    cleanup_string char *source = text_format("%s/%u/" FOLDER "/%s.%s", s->policy->runtime_dir,
                                              (unsigned)s->request.account.uid, names->key, kind);

    if (!source)
        return -1;
    struct json_object *m = json_object_new_object();
    json_object_object_add(m, "Type", json_object_new_string("bind"));
    json_object_object_add(m, "Source", json_object_new_string(source));
    json_object_object_add(m, "Target", json_object_new_string(target));
    json_object_object_add(m, "ReadOnly", json_object_new_boolean(true));
    json_object_array_add(mounts, m);
    return 0;
}

/* In memory: half of what the container may have, and never the session's end. podman 4.3
 * takes no owner's number, it has a word for the container's user instead (podman-create(1),
 * U), and copies the image's folder into a tmpfs unless told not to. */
static int add_home(struct json_object *host, const struct session *s, bool podman)
{
    const struct policy *p = s->policy;
    struct json_object *tmpfs = member(host, "Tmpfs", json_type_object);
    struct passwd_ids ids;
    struct text options = {0};

    (void)passwd_ids(&ids, p->user);
    text_printf(&options, "exec,mode=%04o", HOME_MODE);
    if (podman)
        text_puts(&options, ",notmpcopyup,U");
    else
        text_printf(&options, ",uid=%u,gid=%u", ids.uid, ids.gid);
    if (p->memory > 0)
        text_printf(&options, ",size=%lld", p->memory / 2);
    cleanup_string char *value = text_take(&options);
    if (value)
        json_object_object_add(tmpfs, p->home_at, json_object_new_string(value));
    return value ? 0 : -1;
}

int names_mount(const struct names *names, const struct session *s, const struct engine *engine,
                struct json_object *body, struct error **err)
{
    const struct policy *p = s->policy;
    struct json_object *host = member(body, "HostConfig", json_type_object);
    struct json_object *mounts = member(host, "Mounts", json_type_array);
    const bool home = is_home_free(body, p) && (p->read_only || !names->home);
    const bool passwd = !is_covered(body, PASSWD), group = !is_covered(body, GROUP);
    int rc = passwd ? add_mount(mounts, names, s, "passwd", PASSWD) : 0;

    if (rc == 0 && group)
        rc = add_mount(mounts, names, s, "group", GROUP);
    if (rc == 0 && home)
        rc = add_home(host, s, engine_is_podman(engine));
    return rc < 0 ? error_set(err, ENOMEM, "create body") : 0;
}

int names_put(const struct session *s, struct engine *engine, struct json_object *body,
              struct error **err)
{
    cleanup_text struct text passwd = {0}, group = {0}, archive = {0};
    const struct policy *p = s->policy;
    struct image_files f = {0};
    struct passwd_ids ids;
    int rc = read_image(s, engine, &f, err);

    if (rc == 0)
        rc = make_files(s, &f, &passwd, &group, err);
    if (!is_covered(body, PASSWD))
        archive_add_file(&archive, &PASSWD[1], &passwd);
    if (!is_covered(body, GROUP))
        archive_add_file(&archive, &GROUP[1], &group);
    (void)passwd_ids(&ids, p->user);
    if (is_home_free(body, p) && !f.home && strlen(p->home_at) < 100)
        archive_add_folder(&archive, p->home_at + 1, HOME_MODE,
                           &(struct archive_owner){ids.uid, ids.gid});
    if (rc == 0)
        rc = archive_write(engine, s->container, &archive, err);
    image_files_free(&f);
    return rc < 0 ? error_wrap(err, "no names for the login in its container") : 0;
}
