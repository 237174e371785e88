#include "config.h"

#include "session/register.h"

#include "base/file.h"
#include "base/process.h"
#include "base/runtime.h"
#include "policy/connection.h"
#include "session/lease.h"
#include "session/slots.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define REGISTER_FILE "sessions"
#define HOLDS_FILE    "holds"

/* As it stands in the file. Another layout gets another magic: who reads one of
 * another version then knows only that somebody is there. */
struct slot_record {
    char magic[8]; /* "berth-r1" */
    int32_t pid;   /* whose slot it was when this was written */
    uint8_t kind, tty, scope, direct, running;
    uint8_t unused[7];
    int64_t since;
    char session[24];
    char port[8];
    char client[64];
    char container[CONTAINER_NAME_SIZE];
    char user[264];
    char reserve[24];
};
_Static_assert(sizeof(struct slot_record) == REGISTER_SLOT_SIZE,
               "a slot's size is the file's format");

static const char magic[8] = {'b', 'e', 'r', 't', 'h', '-', 'r', '1'};

static struct slots slots_of(int fd)
{
    return (struct slots){.fd = fd, .size = sizeof(struct slot_record), .count = REGISTER_SLOTS};
}

static int join(struct registration *registration, int dir, const char *name, long long most,
                unsigned *held, struct error **err)
{
    cleanup_fd int fd = runtime_open_own(dir, name, O_RDWR | O_CREAT);
    const struct slots slots = slots_of(fd);
    unsigned limit = most > 0 && most < REGISTER_SLOTS ? (unsigned)most : 0;

    *registration = (struct registration){.fd = -1};
    if (fd < 0)
        return error_set(err, errno, "cannot open the register of sessions \"%s\"", name);
    int rc = slots_take(&slots, limit, &registration->slot, held, err);
    if (rc < 0)
        return error_wrap(err, "register of sessions \"%s\"", name);
    if (rc > 0)
        registration->fd = release_fd(&fd);
    return rc;
}

int register_join(struct registration *registration, int dir, long long most, unsigned *held,
                  struct error **err)
{
    return join(registration, dir, REGISTER_FILE, most, held, err);
}

int register_join_hold(struct registration *registration, int dir, long long most, unsigned *held,
                       struct error **err)
{
    return join(registration, dir, HOLDS_FILE, most, held, err);
}

int register_write(const struct registration *registration, const struct session_entry *entry,
                   struct error **err)
{
    struct slot_record record = {.pid = getpid(),
                                 .kind = (uint8_t)entry->kind,
                                 .tty = entry->tty,
                                 .scope = (uint8_t)entry->scope,
                                 .direct = entry->direct,
                                 .running = entry->running,
                                 .since = entry->since};

    memcpy(record.magic, magic, sizeof magic);
    snprintf(record.session, sizeof record.session, "%s", entry->session);
    snprintf(record.port, sizeof record.port, "%s", entry->port);
    snprintf(record.client, sizeof record.client, "%s", entry->client);
    snprintf(record.container, sizeof record.container, "%s", entry->container);
    snprintf(record.user, sizeof record.user, "%s", entry->user);
    ssize_t n = pwrite(registration->fd, &record, sizeof record,
                       (off_t)(registration->slot * sizeof record));
    if (n != (ssize_t)sizeof record)
        return error_set(err, n < 0 ? errno : ENOSPC, "cannot write to the register of sessions");
    return 0;
}

void register_leave(struct registration *registration)
{
    close_fd(&registration->fd);
}

/* Cut where the file has no end of it. */
static void copy_text(char *to, size_t size, const char *from, size_t most)
{
    size_t len = strnlen(from, most);

    if (len >= size)
        len = size - 1;
    memcpy(to, from, len);
    to[len] = '\0';
}

bool register_read_slot(const unsigned char bytes[REGISTER_SLOT_SIZE], bool holds, pid_t pid,
                        struct session_entry *entry)
{
    struct slot_record record;

    memcpy(&record, bytes, sizeof record);
    if (memcmp(record.magic, magic, sizeof magic) != 0 || record.pid != pid ||
        record.kind >= REQUEST_KINDS || (record.kind == REQUEST_FORWARD) != holds ||
        record.scope > SCOPE_USER)
        return false;
    *entry = (struct session_entry){.since = record.since,
                                    .kind = (enum request_kind)record.kind,
                                    .tty = record.tty == 1,
                                    .scope = (enum scope)record.scope,
                                    .direct = record.direct == 1,
                                    .running = record.running == 1};
    copy_text(entry->session, sizeof entry->session, record.session, sizeof record.session);
    copy_text(entry->port, sizeof entry->port, record.port, sizeof record.port);
    copy_text(entry->client, sizeof entry->client, record.client, sizeof record.client);
    copy_text(entry->container, sizeof entry->container, record.container, sizeof record.container);
    copy_text(entry->user, sizeof entry->user, record.user, sizeof record.user);
    return true;
}

static bool read_entry(int fd, unsigned slot, bool holds, pid_t pid, struct session_entry *entry)
{
    unsigned char bytes[REGISTER_SLOT_SIZE];

    return pread(fd, bytes, sizeof bytes, (off_t)(slot * sizeof bytes)) == sizeof bytes &&
           register_read_slot(bytes, holds, pid, entry);
}

struct reading {
    const struct register_reader *reader;
    uid_t uid;
    int fd;
    const char *runtime_dir;
    bool holds;
};

static bool visit_slot(void *data, unsigned slot, pid_t pid)
{
    const struct reading *reading = data;
    struct registered registered = {.uid = reading->uid,
                                    .pid = pid,
                                    .fd = reading->fd,
                                    .slot = slot,
                                    .holds = reading->holds,
                                    .runtime_dir = reading->runtime_dir};

    registered.known = read_entry(reading->fd, slot, reading->holds, pid, &registered.entry);
    reading->reader->visit(reading->reader->data, &registered);
    return true;
}

static int read_file(struct reading *reading, int dir, const char *name, struct error **err)
{
    struct stat st;
    cleanup_fd int fd = runtime_open_file(dir, name, O_RDONLY);
    const struct slots slots = slots_of(fd);

    if (fd < 0 && errno == ENOENT)
        return 0;
    if (fd < 0 || fstat(fd, &st) < 0)
        return error_set(err, errno, "cannot open");
    /* A link to another's would show his sessions as this user's. */
    if (st.st_uid != reading->uid)
        return error_set(err, 0, "owned by uid %u", (unsigned)st.st_uid);
    reading->fd = fd;
    return slots_each(&slots, visit_slot, reading, NULL) < 0
               ? error_set(err, errno, "cannot see who holds its locks")
               : 0;
}

static void read_user(struct reading *reading, int dir, const char *name)
{
    cleanup_error struct error *err = NULL;

    if (read_file(reading, dir, name, &err) == 0)
        return;
    error_wrap(&err, "%s/%u/%s", reading->runtime_dir, (unsigned)reading->uid, name);
    reading->reader->failed(reading->reader->data, error_text(err));
}

void register_read(const char *runtime_dir, uid_t uid, const struct register_reader *reader)
{
    struct reading reading = {.reader = reader, .uid = uid, .fd = -1, .runtime_dir = runtime_dir};
    cleanup_error struct error *err = NULL;
    cleanup_fd int dir = runtime_open_user(runtime_dir, uid, false, &err);

    if (dir < 0 && error_kind(err) == ERROR_NOT_FOUND)
        return;
    if (dir < 0) {
        reader->failed(reader->data, error_text(err));
        return;
    }
    read_user(&reading, dir, REGISTER_FILE);
    reading.holds = true;
    read_user(&reading, dir, HOLDS_FILE);
}

static void visit_user(void *data, uid_t uid)
{
    const struct reading *reading = data;

    register_read(reading->runtime_dir, uid, reading->reader);
}

int register_read_all(const char *runtime_dir, const struct register_reader *reader,
                      struct error **err)
{
    struct reading reading = {.reader = reader, .runtime_dir = runtime_dir};

    return lease_each_user(runtime_dir, visit_user, &reading, err);
}

/* /proc/PID/status, which is the process's own as long as its pidfd is open and it has
 * not ended. */
static bool has_uid(pid_t pid, uid_t uid)
{
    uid_t owner;
    pid_t parent;

    return process_status(pid, &owner, &parent) && owner == uid;
}

static int open_sshd(const struct registered *registered, struct error **err)
{
    struct connection c;

    if (!registered->known ||
        !connection_find(&c, registered->runtime_dir, registered->entry.session, registered->uid))
        return error_set(err, 0, "process %d doesn't tell whose connection it is for",
                         (int)registered->pid);
    cleanup_fd int fd = process_open(c.sshd, "", NULL);
    /* Only now it can't be another's pid. */
    if (fd < 0 || process_started(c.sshd) != c.started)
        return error_set_kind(err, ERROR_NOT_FOUND, "it has ended");
    return release_fd(&fd);
}

static int open_holder(const struct registered *registered, struct error **err)
{
    const struct slots slots = slots_of(registered->fd);
    pid_t pid = registered->pid;

    if (pid <= 0)
        return error_set(err, 0, "its process is in another PID namespace");
    cleanup_fd int fd = process_open(pid, "", NULL);
    if (fd < 0 && errno == ESRCH)
        return error_set_kind(err, ERROR_NOT_FOUND, "it has ended");
    if (fd < 0)
        return error_set(err, errno, "process %d", (int)pid);
    /* Only now it can't be another's pid. */
    if (slots_holder(&slots, registered->slot) != pid)
        return error_set_kind(err, ERROR_NOT_FOUND, "it has ended");
    if (!has_uid(pid, registered->uid))
        return error_set(err, 0, "process %d isn't uid %u's", (int)pid, (unsigned)registered->uid);
    return release_fd(&fd);
}

int register_open_helper(const struct registered *registered, struct error **err)
{
    cleanup_fd int holder = open_holder(registered, err);

    if (holder < 0 || !registered->holds)
        return release_fd(&holder);
    return open_sshd(registered, err);
}
