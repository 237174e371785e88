#include "config.h"

#include "engine/archive.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    BLOCK = 512,
    /* Extended headers before the entry; a file's own attributes are small. */
    HEADERS_MAX = 64 * 1024,
    PATH_MAX_TAR = 100,
    ARCHIVE_MS = 10000,
};

/* ustar (POSIX.1-2017, pax): octal numbers in ASCII, strings padded with NULs. */
struct header {
    char name[100], mode[8], uid[8], gid[8], size[12], mtime[12], checksum[8], type, link[100];
    char magic[6], version[2], user[32], group[32], major[8], minor[8], prefix[155], pad[12];
};
_Static_assert(sizeof(struct header) == BLOCK, "a header is one block");

static size_t octal(const char *field, size_t size)
{
    size_t n = 0;

    for (size_t i = 0; i < size && field[i] >= '0' && field[i] <= '7'; i++)
        n = n * 8 + (size_t)(field[i] - '0');
    return n;
}

static enum archive_type type_of(char type)
{
    switch (type) {
    case '0':
    case '\0':
        return ARCHIVE_FILE;
    case '2':
        return ARCHIVE_LINK;
    case '5':
        return ARCHIVE_FOLDER;
    default:
        return ARCHIVE_OTHER;
    }
}

/* Nothing more is wanted once this is -1. */
static int take_header(struct archive_reading *r, const struct header *h)
{
    struct archive_entry *e = r->entry;
    const size_t size = octal(h->size, sizeof h->size);

    if (memcmp(h->magic, "ustar", 5) != 0) {
        r->why = "what it sent is no tar archive";
        return -1;
    }
    /* pax's and GNU's, about the entry that follows. */
    if (strchr("xgLK", h->type) && h->type) {
        r->skip = (size + BLOCK - 1) / BLOCK * BLOCK;
        if (size > HEADERS_MAX)
            r->why = "its archive's header is too long";
        return r->why ? -1 : 0;
    }
    r->found = true;
    e->type = type_of(h->type);
    e->mode = (unsigned)octal(h->mode, sizeof h->mode) & 07777;
    if (e->type == ARCHIVE_LINK && memchr(h->link, '\0', sizeof h->link))
        snprintf(e->link, sizeof e->link, "%s", h->link);
    if (e->type != ARCHIVE_FILE || r->most == 0)
        return -1;
    if (size > r->most)
        r->why = "it is too long";
    r->left = size;
    return r->why || size == 0 ? -1 : 0;
}

static int take_content(struct archive_reading *r, const char *bytes, size_t len)
{
    const size_t n = len < r->left ? len : r->left;

    text_add(&r->entry->content, bytes, n);
    r->left -= n;
    return r->left == 0 || r->entry->content.failed ? -1 : 0;
}

int archive_take(struct archive_reading *r, const char *bytes, size_t len)
{
    while (len > 0) {
        if (r->found)
            return take_content(r, bytes, len);
        size_t n = r->skip;
        if (n > 0) {
            n = len < n ? len : n;
            r->skip -= n;
        } else {
            n = BLOCK - r->head.len;
            n = len < n ? len : n;
            text_add(&r->head, bytes, n);
            if (r->head.failed)
                return -1;
        }
        bytes += n;
        len -= n;
        if (r->head.len == BLOCK) {
            struct header h;
            memcpy(&h, r->head.data, sizeof h);
            r->head.len = 0;
            if (take_header(r, &h) < 0)
                return -1;
        }
    }
    return 0;
}

/* Ends the call as soon as it has what is wanted: a folder's archive may be all its files. */
static int take(void *data, const char *bytes, size_t len)
{
    return archive_take(data, bytes, len);
}

static int make_path(struct text *path, const char *container, const char *inside)
{
    text_printf(path, "/containers/%s/archive?path=", container);
    text_add_percent(path, inside, strlen(inside));
    return path->failed ? -1 : 0;
}

static int read_entry(struct engine *engine, const char *path, struct archive_reading *r,
                      struct error **err)
{
    struct http_request request = {
        .method = "GET", .path = path, .timeout_ms = ARCHIVE_MS, .sink = take, .data = r};
    cleanup_call struct http_call *call = http_start(engine_http(engine), &request, err);
    int rc = call ? http_finish(engine_http(engine), call, err) : -1;

    if (!call)
        return -1;
    if (r->why || r->head.failed || r->entry->content.failed) {
        error_clear(err);
        return error_set(err, r->why ? 0 : ENOMEM, "%s", r->why ? r->why : "archive");
    }
    /* Ended by us. */
    if (r->found && r->left == 0) {
        error_clear(err);
        return 0;
    }
    if (rc < 0 && error_kind(*err) == ERROR_NOT_FOUND &&
        !strcasestr(error_text(*err), "no such container")) {
        error_clear(err);
        return 0;
    }
    return rc < 0 ? -1 : error_set_kind(err, ERROR_LOST, "the archive was cut");
}

int archive_read(struct engine *engine, const char *container, const char *path, size_t most,
                 struct archive_entry *entry, struct error **err)
{
    struct archive_reading r = {.entry = entry, .most = most};
    cleanup_text struct text url = {0};

    *entry = (struct archive_entry){0};
    int rc = make_path(&url, container, path) < 0 ? error_set(err, ENOMEM, "archive")
                                                  : read_entry(engine, text_str(&url), &r, err);
    text_free(&r.head);
    return rc < 0 ? error_wrap(err, "engine: %s in the image", path) : 0;
}

static void put_octal(char *field, size_t size, unsigned long long n)
{
    for (size_t i = size - 1; i-- > 0; n /= 8)
        field[i] = (char)('0' + n % 8);
    field[size - 1] = '\0';
}

static void pad(struct text *archive)
{
    static const char zeros[BLOCK];
    size_t over = archive->len % BLOCK;

    if (over > 0)
        text_add(archive, zeros, BLOCK - over);
}

static void add_header(struct text *archive, const char *path, char type, unsigned mode,
                       const struct archive_owner *owner, size_t size)
{
    struct header h = {0};
    unsigned sum = 0;

    if (strlen(path) >= PATH_MAX_TAR) {
        archive->failed = true;
        return;
    }
    memcpy(h.name, path, strlen(path));
    put_octal(h.mode, sizeof h.mode, mode);
    put_octal(h.uid, sizeof h.uid, owner->uid);
    put_octal(h.gid, sizeof h.gid, owner->gid);
    put_octal(h.size, sizeof h.size, size);
    put_octal(h.mtime, sizeof h.mtime, 0);
    h.type = type;
    memcpy(h.magic, "ustar", 6);
    memcpy(h.version, "00", 2);
    memset(h.checksum, ' ', sizeof h.checksum);
    for (size_t i = 0; i < sizeof h; i++)
        sum += ((const unsigned char *)&h)[i];
    put_octal(h.checksum, sizeof h.checksum - 1, sum);
    text_add(archive, (const char *)&h, sizeof h);
}

void archive_add_file(struct text *archive, const char *path, const struct text *content)
{
    static const struct archive_owner root = {0, 0};

    add_header(archive, path, '0', 0644, &root, content->len);
    text_add(archive, text_str(content), content->len);
    pad(archive);
}

void archive_add_folder(struct text *archive, const char *path, unsigned mode,
                        const struct archive_owner *owner)
{
    add_header(archive, path, '5', mode, owner, 0);
}

int archive_write(struct engine *engine, const char *container, struct text *archive,
                  struct error **err)
{
    static const char zeros[2 * BLOCK];
    cleanup_text struct text url = {0};

    text_add(archive, zeros, sizeof zeros);
    if (make_path(&url, container, "/") < 0 || archive->failed)
        return error_set(err, ENOMEM, "archive");
    struct http_request request = {.method = "PUT",
                                   .path = text_str(&url),
                                   .body = text_str(archive),
                                   .body_len = archive->len,
                                   .body_type = "application/x-tar",
                                   .timeout_ms = ARCHIVE_MS};
    cleanup_call struct http_call *call = http_start(engine_http(engine), &request, err);
    return call ? http_finish(engine_http(engine), call, err) : -1;
}
