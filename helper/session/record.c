#include "config.h"

#include "session/record.h"

#include "base/file.h"
#include "base/process.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Behind the state's byte (lease_note). */
enum { RECORD_AT = 1, RECORD_MAX = 1024 };

/* What stands in front of it. */
static const char valid = ' ', retired = '~';

/* What changes stands first, and is as long as ever. */
static const char head_form[] = " policy=%16s checked=%010lld";
static const char tail_form[] = " pid=%d keep=%d linger=%lld id=%s image=%s name=%s\n";
static const char read_form[] = "policy=%16[0-9a-f] checked=%lld pid=%d keep=%d linger=%lld "
                                "id=%64[0-9a-f] image=%64[-0-9a-f] name=%512s";

static bool read_one(struct record *record, int lock, char first)
{
    char text[RECORD_MAX];
    int pid = 0, keep = 0;
    ssize_t n = pread(lock, text, sizeof text - 1, RECORD_AT);

    *record = (struct record){0};
    if (n <= 0)
        return false;
    text[n] = '\0';
    /* The newline is there: it was written whole. */
    if (text[0] != first || !memchr(text, '\n', (size_t)n) ||
        sscanf(text + 1, read_form, record->policy, &record->checked, &pid, &keep, &record->linger,
               record->id, record->image, record->image_name) != 8 ||
        pid <= 1)
        return false;
    record->pid = (pid_t)pid;
    record->keep = keep != 0;
    return true;
}

bool record_read(struct record *record, int lock)
{
    return read_one(record, lock, valid);
}

bool record_former(struct record *record, int lock)
{
    return read_one(record, lock, retired);
}

int record_write(const struct record *record, int lock, struct error **err)
{
    char text[RECORD_MAX];
    int len = snprintf(text, sizeof text, head_form, record->policy, record->checked);

    len += snprintf(text + len, sizeof text - (size_t)len, tail_form, (int)record->pid,
                    record->keep, record->linger, record->id,
                    record->image[0] ? record->image : "-", record->image_name);
    if (ftruncate(lock, RECORD_AT) < 0 || pwrite(lock, text, (size_t)len, RECORD_AT) != len)
        return error_set(err, errno,
                         "cannot write down in the runtime directory what container was made");
    return 0;
}

void record_update(const struct record *record, int lock)
{
    char text[RECORD_MAX];
    int len = snprintf(text, sizeof text, head_form, record->policy, record->checked);
    struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, {.tv_nsec = UTIME_OMIT}};
    struct stat st;

    if (fstat(lock, &st) == 0)
        times[1] = st.st_mtim;
    /* What can't be noted is asked again. */
    (void)!pwrite(lock, text, (size_t)len, RECORD_AT);
    (void)!futimens(lock, times);
}

void record_clear(int lock)
{
    /* What can't be cleared is dead, and found to be. */
    (void)!ftruncate(lock, 0);
}

void record_retire(int lock)
{
    if (pwrite(lock, &retired, 1, RECORD_AT) != 1)
        record_clear(lock);
}

bool record_lingers(const struct record *record, const struct lease *lease)
{
    long long age;

    (void)lease_noted(lease, &age);
    return record->linger == -1 || (record->linger >= 0 && age < record->linger);
}

bool record_lives(const struct record *record)
{
    enum process_place place;
    cleanup_fd int process = process_open(record->pid, record->id, &place);

    return process >= 0 && place != PROCESS_ELSEWHERE;
}

bool record_peek(struct record *record, const struct lease *lease)
{
    cleanup_fd int file = lease_peek(lease);

    return file >= 0 && record_read(record, file);
}
