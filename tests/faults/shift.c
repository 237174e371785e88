/* Preloaded: the wall clock is ahead by as many seconds as the file SHIFT says, from when it
 * says so. */
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static const volatile long *shift;

__attribute__((constructor)) static void begin(void)
{
    int fd = open(SHIFT, O_RDONLY | O_CLOEXEC);
    void *at = mmap(NULL, sizeof *shift, PROT_READ, MAP_SHARED, fd, 0);

    if (at != MAP_FAILED)
        shift = at;
    close(fd);
}

static long ahead(void)
{
    return shift ? *shift : 0;
}

int clock_gettime(clockid_t clock, struct timespec *now)
{
    int rc = (int)syscall(SYS_clock_gettime, clock, now);

    if (rc == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE))
        now->tv_sec += ahead();
    return rc;
}

int gettimeofday(struct timeval *now, void *zone)
{
    int rc = (int)syscall(SYS_gettimeofday, now, zone);

    if (rc == 0)
        now->tv_sec += ahead();
    return rc;
}

time_t time(time_t *at)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    if (at)
        *at = now.tv_sec;
    return now.tv_sec;
}
