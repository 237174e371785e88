#include "config.h"

#include "bundle/parts.h"

#include "base/capture.h"
#include "base/file.h"
#include "policy/mount.h"

#include <errno.h>
#include <limits.h>
#include <link.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SEGMENTS_MAX = 128, FILE_MOST = 256 * 1024 * 1024 };

/* What this program was built for, the host's own programs are as well. */
static bool is_ours(const ElfW(Ehdr) * header)
{
    const ElfW(Half) word = sizeof(void *) == 8 ? ELFCLASS64 : ELFCLASS32;

    return memcmp(header->e_ident, ELFMAG, SELFMAG) == 0 && header->e_ident[EI_CLASS] == word &&
           header->e_phentsize == sizeof(ElfW(Phdr)) && header->e_phnum <= SEGMENTS_MAX;
}

char *parts_loader_of(int fd, struct error **err)
{
    ElfW(Ehdr) header;
    ElfW(Phdr) segments[SEGMENTS_MAX];

    if (pread(fd, &header, sizeof header, 0) != (ssize_t)sizeof header || !is_ours(&header)) {
        error_set(err, 0, "no program (ELF) of this machine's kind");
        return NULL;
    }
    ssize_t size = (ssize_t)(header.e_phnum * sizeof *segments);
    if (pread(fd, segments, (size_t)size, (off_t)header.e_phoff) != size) {
        error_set(err, 0, "no whole program (ELF)");
        return NULL;
    }
    for (size_t i = 0; i < header.e_phnum; i++) {
        char path[PATH_MAX] = "";
        if (segments[i].p_type != PT_INTERP)
            continue;
        if (segments[i].p_filesz >= sizeof path ||
            pread(fd, path, segments[i].p_filesz, (off_t)segments[i].p_offset) < 2 ||
            path[0] != '/') {
            error_set(err, 0, "names no loader that can be used");
            return NULL;
        }
        return strdup(path);
    }
    return strdup("");
}

static int list_failed(const char *line, size_t len, struct error **err)
{
    return error_set(err, 0, "its loader says what can't be used: %.*s", (int)len, line);
}

/* " => /lib/libc.so.6 (0x00007f...)" behind a name. */
static int read_path(struct strings *pairs, const char *name, size_t name_len, const char *at,
                     size_t len, struct error **err)
{
    const char *end = at + len, *stop = end;

    while (stop > at && stop[-1] != '(')
        stop--;
    stop = stop - at >= 2 && stop[-2] == ' ' ? stop - 2 : end;
    if (at == stop || *at != '/')
        return error_set(err, 0, "%.*s, a library that it needs, is missing", (int)name_len, name);
    if (strings_take(pairs, strndup(name, name_len)) < 0 ||
        strings_take(pairs, strndup(at, (size_t)(stop - at))) < 0)
        return error_set(err, ENOMEM, "libraries");
    return 0;
}

static int read_line(struct strings *pairs, const char *line, size_t len, struct error **err)
{
    size_t blank = strspn(line, " \t");
    const char *name = line + (blank < len ? blank : len), *end = line + len;
    const char *arrow = memmem(name, (size_t)(end - name), " => ", 4);
    size_t name_len = arrow ? (size_t)(arrow - name) : 0;

    /* The loader, or linux-vdso.so.1, of which there is no file. */
    if (!arrow)
        return 0;
    /* musl is its own loader: "libc.musl-x86_64.so.1 => /lib/ld-musl-x86_64.so.1". */
    if (name_len == 0 || name_len > NAME_MAX || name[0] == '.')
        return list_failed(line, len, err);
    if (memchr(name, '/', name_len))
        return 0; /* glibc's, where it is called by another name */
    return read_path(pairs, name, name_len, arrow + 4, (size_t)(end - arrow - 4), err);
}

int parts_read_list(struct strings *pairs, const char *text, struct error **err)
{
    while (*text) {
        size_t len = strcspn(text, "\n");
        if (read_line(pairs, text, len, err) < 0)
            return -1;
        text += len + (text[len] == '\n');
    }
    return 0;
}

static bool has(const struct parts *parts, const char *name)
{
    for (size_t i = 0; i < parts->count; i++)
        if (strcmp(parts->items[i].name, name) == 0)
            return true;
    return false;
}

static int add(struct parts *parts, const char *name, const char *path, struct error **err)
{
    cleanup_string char *real = realpath(path, NULL);

    if (!real)
        return error_set(err, errno, "%s", path);
    if (has(parts, name))
        return 0;
    if (parts->count == PARTS_MAX)
        return error_set(err, 0, "more than %d libraries", PARTS_MAX - 2);
    if (mount_source_check(real, err) < 0)
        return -1;
    cleanup_fd int fd = file_open_trusted(real, TRUST_PUBLIC, FILE_MOST, err);
    if (fd < 0)
        return -1;
    struct part *part = &parts->items[parts->count];
    *part = (struct part){.name = strdup(name), .path = strdup(real)};
    parts->count++;
    return part->name && part->path ? 0 : error_set(err, ENOMEM, "%s", path);
}

/* glibc loads these by name when it looks a uid up: before 2.34 for "files" too, and
 * still for "compat", which an image's nsswitch.conf may name. */
static int add_nss(struct parts *parts, const char *libc, struct error **err)
{
    static const char *const modules[] = {"libnss_files.so.2", "libnss_compat.so.2"};
    const char *slash = strrchr(libc, '/');

    for (size_t i = 0; i < sizeof modules / sizeof *modules; i++) {
        cleanup_string char *path = text_format("%.*s/%s", (int)(slash - libc), libc, modules[i]);
        if (!path)
            return error_set(err, ENOMEM, "libraries");
        if (access(path, F_OK) == 0 && add(parts, modules[i], path, err) < 0)
            return -1;
    }
    return 0;
}

static int add_libraries(struct parts *parts, const char *loader, const char *program,
                         struct error **err)
{
    cleanup_strings struct strings argv = {0}, pairs = {0};
    cleanup_text struct text said = {0};

    if (strings_add(&argv, loader) < 0 || strings_add(&argv, "--list") < 0 ||
        strings_add(&argv, program) < 0)
        return error_set(err, ENOMEM, "libraries");
    if (capture_run(&argv, &said, err) < 0 || parts_read_list(&pairs, text_str(&said), err) < 0)
        return -1;
    for (size_t i = 0; i + 1 < pairs.count; i += 2) {
        const char *name = pairs.items[i], *path = pairs.items[i + 1];
        if (add(parts, name, path, err) < 0)
            return -1;
        if (strcmp(name, "libc.so.6") == 0 && add_nss(parts, path, err) < 0)
            return -1;
    }
    return 0;
}

static int find(struct parts *parts, const char *program, struct error **err)
{
    if (add(parts, PARTS_PROGRAM, program, err) < 0)
        return -1;
    cleanup_fd int fd = file_open_trusted(parts->items[0].path, TRUST_PUBLIC, FILE_MOST, err);
    cleanup_string char *loader = fd >= 0 ? parts_loader_of(fd, err) : NULL;
    if (!loader)
        return *err ? -1 : error_set(err, ENOMEM, "%s", program);
    if (loader[0] == '\0')
        return 0;
    parts->loader = strstr(loader, "/ld-musl") ? LOADER_OTHER : LOADER_GLIBC;
    if (add(parts, PARTS_LOADER, loader, err) < 0)
        return -1;
    return add_libraries(parts, parts->items[1].path, parts->items[0].path, err);
}

int parts_find(struct parts *parts, const char *program, struct error **err)
{
    *parts = (struct parts){0};
    return find(parts, program, err) == 0 ? 0 : error_wrap(err, "%s", program);
}

void parts_free(struct parts *parts)
{
    for (size_t i = 0; i < parts->count; i++) {
        free(parts->items[i].name);
        free(parts->items[i].path);
    }
    *parts = (struct parts){0};
}
