/* What root reads of users' files below the runtime directory, and what a container's
 * sftp-server says to the log: a slot of the register, the record of a shared container,
 * lines. */
#include "config.h"

#include "claim.h"

#include "base/file.h"
#include "base/text.h"
#include "channel/tap.h"
#include "session/record.h"
#include "session/register.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define IS_TEXT(array) (memchr((array), '\0', sizeof(array)) != NULL)

static void check_entry(const struct session_entry *e)
{
    claim(IS_TEXT(e->session) && IS_TEXT(e->user) && IS_TEXT(e->client) && IS_TEXT(e->port) &&
          IS_TEXT(e->container));
    claim((unsigned)e->kind < REQUEST_KINDS && (unsigned)e->scope <= SCOPE_USER);
}

/* Of whom the slot speaks stands in it: else hardly any would be his who holds it. */
static void check_slot(const uint8_t *data, size_t size, int file)
{
    unsigned char bytes[REGISTER_SLOT_SIZE] = {0}, again[REGISTER_SLOT_SIZE];
    struct session_entry entry, same;
    const struct registration registration = {.fd = file};
    cleanup_error struct error *err = NULL;
    int32_t pid;

    memcpy(bytes, data, size < sizeof bytes ? size : sizeof bytes);
    memcpy(&pid, bytes + 8, sizeof pid);
    for (int holds = 0; holds <= 1; holds++) {
        claim(!register_read_slot(bytes, holds, pid ^ 1, &entry));
        if (!register_read_slot(bytes, holds, pid, &entry))
            continue;
        check_entry(&entry);
        claim((entry.kind == REQUEST_FORWARD) == (holds == 1));
        claim(register_write(&registration, &entry, &err) == 0);
        claim(pread(file, again, sizeof again, 0) == sizeof again);
        claim(register_read_slot(again, holds, getpid(), &same));
        claim(strcmp(same.user, entry.user) == 0 && strcmp(same.session, entry.session) == 0 &&
              strcmp(same.container, entry.container) == 0 && same.since == entry.since);
    }
}

static void check_record(const uint8_t *data, size_t size, int file)
{
    struct record record, same;
    cleanup_error struct error *err = NULL;

    claim(ftruncate(file, 0) == 0);
    claim(pwrite(file, data, size, 0) == (ssize_t)size);
    if (!record_read(&record, file))
        return;
    claim(IS_TEXT(record.policy) && IS_TEXT(record.id) && IS_TEXT(record.image) &&
          IS_TEXT(record.image_name));
    claim(record.pid > 1 && record.image_name[0] &&
          record.id[strspn(record.id, "0123456789abcdef")] == '\0' &&
          record.policy[strspn(record.policy, "0123456789abcdef")] == '\0');
    claim(record_write(&record, file, &err) == 0);
    /* A shorter one stands behind blanks. */
    if (strlen(record.policy) < sizeof record.policy - 1)
        return;
    claim(record_read(&same, file));
    claim(same.pid == record.pid && same.keep == record.keep && same.linger == record.linger &&
          same.checked == record.checked && strcmp(same.policy, record.policy) == 0 &&
          strcmp(same.id, record.id) == 0 && strcmp(same.image_name, record.image_name) == 0);
}

static void note(void *data, const char *line, size_t len)
{
    struct text *seen = data;

    claim(len > 0 && len <= TAP_RECORD_MAX && line[len - 1] != '\n' && line[len - 1] != '\r' &&
          !memchr(line, '\n', len));
    text_add(seen, line, len);
    text_add(seen, "\n", 1);
}

static void check_lines(const uint8_t *data, size_t size, size_t piece, struct text *seen)
{
    struct tap tap = {.fd = -1, .take = note, .data = seen};

    for (size_t at = 0; at < size; at += piece)
        tap_feed(&tap, (const char *)data + at, size - at < piece ? size - at : piece);
    tap_close(&tap);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    cleanup_text struct text whole = {0}, pieces = {0};
    static int file = -1;

    if (file < 0)
        file = memfd_create("record", MFD_CLOEXEC);
    claim(file >= 0);
    check_slot(data, size, file);
    check_record(data, size, file);
    check_lines(data, size, size, &whole);
    check_lines(data, size, 1 + size % 7, &pieces);
    claim(whole.len == pieces.len && memcmp(text_str(&whole), text_str(&pieces), whole.len) == 0);
    return 0;
}
