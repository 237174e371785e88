#include "config.h"

#include "session/filter.h"

#include "session/filter_programs.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Linux 4.17: the filter isn't to switch on mitigations that slow all of us down;
 * no code of a stranger's runs in here. */
#ifndef SECCOMP_FILTER_FLAG_SPEC_ALLOW
#define SECCOMP_FILTER_FLAG_SPEC_ALLOW (1UL << 2)
#endif

#define PROGRAM(name)                                                                              \
    {                                                                                              \
        (unsigned short)(sizeof(name) / sizeof *(name)), (struct sock_filter *)(name)              \
    }

static const struct sock_fprog programs[FILTER_COUNT] = {
    [FILTER_DIRECT] = PROGRAM(filter_direct),
    [FILTER_DIRECT_BACK] = PROGRAM(filter_direct_back),
    [FILTER_ENGINE_HERE] = PROGRAM(filter_engine_here),
    [FILTER_ENGINE_THERE] = PROGRAM(filter_engine_there),
    [FILTER_RELAY] = PROGRAM(filter_relay),
};

int filter_install(enum filter_way way, bool *there, struct error **err)
{
    /* A thread of libcurl's that resolves a name is not to be left out. */
    const unsigned long all = SECCOMP_FILTER_FLAG_TSYNC;
    long rc = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, all | SECCOMP_FILTER_FLAG_SPEC_ALLOW,
                      &programs[way]);

    if (rc < 0 && errno == EINVAL)
        rc = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, all, &programs[way]);
    *there = rc == 0 || (errno != ENOSYS && errno != EINVAL);
    if (rc == 0 || !*there)
        return 0;
    /* With TSYNC a positive answer is a thread that has other filters. */
    return error_set(err, rc < 0 ? errno : 0, "cannot give up system calls (seccomp(2))");
}
