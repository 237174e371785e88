#include "config.h"

#include "bundle/bundle.h"

#include "base/capture.h"
#include "base/file.h"
#include "bundle/copy.h"
#include "bundle/parts.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define LINK    "sftp"
#define PREFIX  "sftp-"
#define SOURCES "sources"
/* Another form of bundle, made by another berth, is stale. */
#define FORM "berth bundle 1\n"

enum {
    SOURCES_MOST = 64 * 1024,
    OLD_S = 600, /* what is younger may be in the making */
};

static const char *const kinds[] = {
    [LOADER_NONE] = "static", [LOADER_GLIBC] = "glibc", [LOADER_OTHER] = "plain"};

const char *bundle_host_server(void)
{
    /* Debian, Fedora, Arch and SUSE, BSD-like, Gentoo; Alpine has the third. */
    static const char *const paths[] = {
        "/usr/lib/openssh/sftp-server", "/usr/libexec/openssh/sftp-server",
        "/usr/lib/ssh/sftp-server",     "/usr/libexec/ssh/sftp-server",
        "/usr/libexec/sftp-server",     "/usr/lib64/misc/sftp-server",
        "/usr/lib/misc/sftp-server",
    };

    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++)
        if (access(paths[i], X_OK) == 0)
            return paths[i];
    return NULL;
}

/* "SIZE SECONDS.NANOSECONDS INODE PATH" */
static void source_line(struct text *t, const struct stat *st, const char *path)
{
    text_printf(t, "%lld %lld.%09ld %llu %s\n", (long long)st->st_size,
                (long long)st->st_mtim.tv_sec, st->st_mtim.tv_nsec, (unsigned long long)st->st_ino,
                path);
}

static const char *path_in(const char *line)
{
    for (int i = 0; line && i < 3; i++) {
        line = strchr(line, ' ');
        line = line ? line + 1 : NULL;
    }
    return line;
}

/* One line of SOURCES, without its end. */
static char *source_changed(const char *line)
{
    cleanup_text struct text now = {0};
    const char *path = path_in(line);
    struct stat st;

    if (!path || path[0] != '/')
        return strdup("its list of files can't be read");
    if (stat(path, &st) < 0)
        return text_format("%s: %s", path, strerror(errno));
    source_line(&now, &st, path);
    if (!now.failed && strlen(line) + 1 == now.len && strncmp(line, now.data, now.len - 1) == 0)
        return NULL;
    return text_format("%s has changed", path);
}

static int look_at_sources(struct bundle *b, char *text)
{
    const char *first = NULL;

    b->state = BUNDLE_STALE;
    if (strncmp(text, FORM, strlen(FORM)) != 0) {
        b->why = strdup("another version of berth made it");
        return b->why ? 0 : -1;
    }
    for (char *line = text + strlen(FORM); *line && !b->why;) {
        size_t len = strcspn(line, "\n");
        bool last = line[len] == '\0';
        line[len] = '\0';
        first = first ? first : path_in(line);
        b->why = source_changed(line);
        line += len + !last;
    }
    b->server = first ? strdup(first) : NULL;
    if (!b->why)
        b->state = BUNDLE_CURRENT;
    return first && !b->server ? -1 : 0;
}

static int missing(struct bundle *b, char *why, struct error **err)
{
    b->why = why;
    return why ? 0 : error_set(err, ENOMEM, "bundle");
}

int bundle_look(struct bundle *b, const char *folder, struct error **err)
{
    cleanup_error struct error *unread = NULL;
    cleanup_string char *path = text_format("%s/" LINK, folder);
    char name[NAME_MAX + 1] = "";

    *b = (struct bundle){.state = BUNDLE_MISSING};
    if (!path)
        return error_set(err, ENOMEM, "bundle");
    if (readlink(path, name, sizeof name - 1) < 0)
        return missing(b, text_format("%s: %s", path, strerror(errno)), err);
    if (strncmp(name, PREFIX, strlen(PREFIX)) != 0 || strchr(name, '/'))
        return missing(b, text_format("%s is no link of berth's", path), err);
    cleanup_string char *list = text_format("%s/%s/" SOURCES, folder, name);
    cleanup_string char *text = list ? file_read_trusted(list, TRUST_PUBLIC, SOURCES_MOST, NULL,
                                                         &unread)
                                     : NULL;
    if (!text)
        return missing(b, strdup(unread ? error_text(unread) : "out of memory"), err);
    return look_at_sources(b, text) == 0 ? 0 : error_set(err, ENOMEM, "bundle");
}

void bundle_free(struct bundle *b)
{
    free(b->server);
    free(b->why);
    *b = (struct bundle){0};
}

static int fill(int dir, const struct parts *parts, struct error **err)
{
    cleanup_text struct text sources = {0};

    text_puts(&sources, FORM);
    for (size_t i = 0; i < parts->count; i++) {
        const struct part *part = &parts->items[i];
        const bool program = i == 0 || (i == 1 && parts->loader != LOADER_NONE);
        struct stat st;
        if (strchr(part->path, '\n'))
            return error_set(err, 0, "a path with a newline in it");
        if (copy_file(part->path, dir, part->name, program ? 0755 : 0644, &st, err) < 0)
            return -1;
        source_line(&sources, &st, part->path);
    }
    if (sources.failed)
        return error_set(err, ENOMEM, "list of files");
    return copy_text(text_str(&sources), dir, SOURCES, 0644, err);
}

/* As a session would run it: what is half upgraded on the host doesn't start. */
static int try_out(const char *bundle, enum loader loader, struct error **err)
{
    cleanup_strings struct strings argv = {0};
    cleanup_text struct text said = {0};
    int rc = 0;

    if (loader != LOADER_NONE) {
        rc = strings_take(&argv, text_format("%s/" PARTS_LOADER, bundle));
        if (rc == 0 && loader == LOADER_GLIBC)
            rc = strings_add(&argv, "--inhibit-cache");
        if (rc == 0)
            rc = strings_add(&argv, "--library-path");
        if (rc == 0)
            rc = strings_add(&argv, bundle);
    }
    if (rc == 0)
        rc = strings_take(&argv, text_format("%s/" PARTS_PROGRAM, bundle));
    if (rc == 0)
        rc = strings_add(&argv, "-Q");
    if (rc == 0)
        rc = strings_add(&argv, "requests");
    if (rc < 0)
        return error_set(err, ENOMEM, "bundle");
    if (capture_run(&argv, &said, err) < 0)
        return error_wrap(err, "the copy doesn't run");
    if (!strstr(text_str(&said), "open"))
        return error_set(err, 0, "the copy doesn't say what it can do: is it OpenSSH's?");
    return 0;
}

/* The link's new name is there before the old one goes. */
static int bring_in(int folder, const char *name, struct error **err)
{
    cleanup_string char *beside = text_format(".%s", name);

    if (!beside)
        return error_set(err, ENOMEM, "bundle");
    if (symlinkat(name, folder, beside) < 0)
        return error_set(err, errno, "cannot make %s", beside);
    if (renameat(folder, beside, folder, LINK) == 0)
        return fsync(folder) < 0 ? error_set(err, errno, "cannot write the folder") : 0;
    error_set(err, errno, "cannot rename %s to " LINK, beside);
    (void)unlinkat(folder, beside, 0);
    return -1;
}

static bool is_old(int folder, const char *name)
{
    struct stat st;

    return fstatat(folder, name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
           time(NULL) - st.st_ctim.tv_sec > OLD_S;
}

/* What earlier ones left, whole or half made. */
static void sweep(int folder, const char *name, const char *before)
{
    int fd = openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *list = fd >= 0 ? fdopendir(fd) : NULL;

    if (!list)
        close_fd(&fd);
    for (struct dirent *e; list && (e = readdir(list));) {
        if (strncmp(e->d_name, "." PREFIX, strlen("." PREFIX)) == 0 && is_old(folder, e->d_name))
            (void)unlinkat(folder, e->d_name, 0);
        if (strncmp(e->d_name, PREFIX, strlen(PREFIX)) != 0 || strcmp(e->d_name, name) == 0 ||
            strcmp(e->d_name, before) == 0 || !is_old(folder, e->d_name))
            continue;
        (void)copy_remove(folder, e->d_name);
    }
    if (list)
        closedir(list);
}

static int make_in(int folder, const char *path, const struct parts *parts, struct error **err)
{
    const char *name = strrchr(path, '/') + 1;
    char before[NAME_MAX + 1] = "";
    cleanup_fd int dir = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

    if (dir < 0)
        return error_set(err, errno, "%s", path);
    if (fill(dir, parts, err) < 0)
        return -1;
    if (fchmod(dir, 0755) < 0 || fsync(dir) < 0)
        return error_set(err, errno, "%s", path);
    if (try_out(path, parts->loader, err) < 0)
        return -1;
    (void)!readlinkat(folder, LINK, before, sizeof before - 1);
    if (bring_in(folder, name, err) < 0)
        return -1;
    sweep(folder, name, before);
    return 0;
}

static int make(const char *path, const char *server, struct error **err)
{
    struct parts parts;
    cleanup_fd int folder = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (folder < 0)
        return error_set(err, errno, "%s", path);
    if (parts_find(&parts, server, err) < 0) {
        parts_free(&parts);
        return -1;
    }
    cleanup_string char *made = text_format("%s/" PREFIX "%s-XXXXXX", path, kinds[parts.loader]);
    int rc = 0;
    if (!made || !mkdtemp(made))
        rc = error_set(err, made ? errno : ENOMEM, "cannot make a directory in %s", path);
    else if ((rc = make_in(folder, made, &parts, err)) < 0)
        (void)copy_remove(folder, strrchr(made, '/') + 1);
    parts_free(&parts);
    return rc;
}

int bundle_make(const char *folder, const char *server, struct error **err)
{
    server = server ? server : bundle_host_server();
    if (!server)
        return error_set_kind(err, ERROR_NOT_FOUND,
                              "this machine has no sftp-server at any of the usual places: install "
                              "OpenSSH's, or name it with --sftp-server");
    return make(folder, server, err);
}
