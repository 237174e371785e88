/* A process that isn't ours, held by a pidfd against reuse of its pid. */
#ifndef BERTH_BASE_PROCESS_H
#define BERTH_BASE_PROCESS_H

#include <stdbool.h>
#include <sys/types.h>

enum process_place {
    PROCESS_ELSEWHERE, /* another one has that pid, or nobody */
    PROCESS_THERE,     /* who was meant */
    PROCESS_HIDDEN,    /* /proc doesn't tell (hidepid, proc(5)) */
};

/* Opens a pidfd (pidfd_open(2), Linux 5.3; needs no privilege), -1 where there
 * is no such process. *place, which may be NULL, says whether /proc shows it in a
 * cgroup whose path has `cgroup` in it. */
int process_open(pid_t pid, const char *cgroup, enum process_place *place);

/* Whether it has ended, reaped or not. False for -1. */
bool process_has_ended(int pidfd);

/* pidfd_send_signal(2): to that process and no other. */
int process_signal(int pidfd, int number);

/* Whose a process is (its real uid), and its parent: /proc/PID/status. False where
 * /proc doesn't tell. */
bool process_status(pid_t pid, uid_t *uid, pid_t *parent);

/* The wait status of a process that has ended and was reaped by its parent, whose
 * child it need not be: PIDFD_GET_INFO, Linux 6.15. False where the kernel can't
 * say. */
bool process_exit_status(int pidfd, int *wait_status);

/* Before the first malloc(3): so many bytes of the heap will be used, and the kernel gives
 * them all at once, which takes a third of the time that page after page does. */
void process_expect(size_t bytes);

/* Gives memory back that was needed once: a process that now waits for hours has a
 * third less. */
void process_trim(void);

/* When it was started, in the ticks of /proc/PID/stat: with the pid a name that no
 * other process gets before the next boot. 0: there is none, or /proc doesn't show it. */
unsigned long long process_started(pid_t pid);

#endif
