/* Of a build with --enable-coverage alone. libgcov writes down what was run when a process
 * exits, but not where it leaves by _exit(2) or by a signal of its own. */
#include "config.h"

#include <signal.h>
#include <unistd.h>

/* libgcov's. */
void __gcov_dump(void);

/* In place of the C library's (ld(1), --wrap). */
void __real__exit(int status) __attribute__((noreturn));
void __wrap__exit(int status) __attribute__((noreturn));
int __real_raise(int number);
int __wrap_raise(int number);

void __wrap__exit(int status)
{
    __gcov_dump();
    __real__exit(status);
}

int __wrap_raise(int number)
{
    __gcov_dump();
    return __real_raise(number);
}
