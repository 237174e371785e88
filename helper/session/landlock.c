#include "config.h"

#include "session/landlock.h"

#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef SYS_landlock_create_ruleset
#define SYS_landlock_create_ruleset 444
#define SYS_landlock_add_rule       445
#define SYS_landlock_restrict_self  446
#endif

/* linux/landlock.h of 6.12, which may be newer than the headers here. */
struct ruleset {
    uint64_t files, net, scoped;
};
struct beneath {
    uint64_t allowed;
    int32_t parent;
} __attribute__((packed));
struct port {
    uint64_t allowed, number;
};
enum { ASK_VERSION = 1, RULE_BENEATH = 1, RULE_PORT = 2 };

#define BIT(n)      (UINT64_C(1) << (n))
#define READ_FILE   BIT(2)
#define READ_DIR    BIT(3)
#define BIND_TCP    BIT(0)
#define CONNECT_TCP BIT(1)
#define SCOPED      (BIT(0) | BIT(1)) /* abstract unix sockets, signals */

/* How many kinds of access to files each version knows: the first thirteen, then
 * REFER, TRUNCATE, and since 5 IOCTL_DEV. */
static uint64_t files_of(int version)
{
    return BIT(version >= 5 ? 16 : version >= 3 ? 15 : version == 2 ? 14 : 13) - 1;
}

static int allow_reading(int rules, const char *path, struct error **err)
{
    cleanup_fd int fd = open(path, O_PATH | O_CLOEXEC);
    struct beneath rule = {.allowed = READ_FILE, .parent = fd};
    struct stat st;

    if (fd < 0)
        return 0;
    if (fstat(fd, &st) == 0 && S_ISDIR(st.st_mode))
        rule.allowed |= READ_DIR;
    if (syscall(SYS_landlock_add_rule, rules, RULE_BENEATH, &rule, 0) < 0)
        return error_set(err, errno, "%s", path);
    return 0;
}

static int add_rules(int rules, const struct landlock *landlock, int version, struct error **err)
{
    for (size_t i = 0; i < landlock->readable_count; i++)
        if (allow_reading(rules, landlock->readable[i], err) < 0)
            return -1;
    for (size_t i = 0; version >= 4 && i < LANDLOCK_PORTS; i++) {
        const struct port port = {.allowed = CONNECT_TCP, .number = landlock->ports[i]};
        if (port.number && syscall(SYS_landlock_add_rule, rules, RULE_PORT, &port, 0) < 0)
            return error_set(err, errno, "port %u", landlock->ports[i]);
    }
    return 0;
}

int landlock_confine(const struct landlock *landlock, bool *there, struct error **err)
{
    long version = syscall(SYS_landlock_create_ruleset, NULL, 0, ASK_VERSION);
    const struct ruleset set = {.files = files_of((int)version),
                                .net = version >= 4 ? BIND_TCP | CONNECT_TCP : 0,
                                .scoped = version >= 6 ? SCOPED : 0};

    /* ENOSYS: not in this kernel; EOPNOTSUPP: switched off. */
    *there = version > 0;
    if (!*there)
        return 0;
    cleanup_fd int rules = (int)syscall(SYS_landlock_create_ruleset, &set, sizeof set, 0);
    if (rules < 0 || add_rules(rules, landlock, (int)version, err) < 0 ||
        syscall(SYS_landlock_restrict_self, rules, 0) < 0) {
        if (!*err)
            error_set(err, errno, "rules");
        return error_wrap(err, "cannot give up access to files (landlock(7))");
    }
    return 0;
}
