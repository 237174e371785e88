/* Tests that hold a process by a pidfd, where there are none. */
#ifndef BERTH_TEST_PIDFDS_H
#define BERTH_TEST_PIDFDS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/process.h"

#include <errno.h>
#include <unistd.h>

/* valgrind 3.19 knows no pidfd_open(2). To be called before the test has anything to lose. */
static inline void skip_without_pidfds(void)
{
    cleanup_fd int self = process_open(getpid(), "", NULL);

    if (self < 0 && errno == ENOSYS)
        skip();
}

#endif
