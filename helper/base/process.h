/* A process that isn't ours, held by a pidfd against reuse of its pid. */
#ifndef BERTH_BASE_PROCESS_H
#define BERTH_BASE_PROCESS_H

#include <stdbool.h>
#include <sys/types.h>

/* Opens a pidfd (pidfd_open(2), Linux 5.3; needs no privilege), -1 where there
 * is no such process. *known says whether /proc shows it in a cgroup whose path
 * has `cgroup` in it: then it is who was meant. */
int process_open(pid_t pid, const char *cgroup, bool *known);

/* The wait status of a process that has ended and was reaped by its parent, whose
 * child it need not be: PIDFD_GET_INFO, Linux 6.15. False where the kernel can't
 * say. */
bool process_exit_status(int pidfd, int *wait_status);

#endif
