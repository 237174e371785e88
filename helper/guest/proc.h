/* What /proc says of the container's processes, whose names are hostile. */
#ifndef BERTH_GUEST_PROC_H
#define BERTH_GUEST_PROC_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct proc_stat {
    char state; /* 'Z': a zombie */
    pid_t session;
    pid_t foreground; /* its terminal's process group, -1 where it has none */
};

/* The text of /proc/PID/stat (proc(5)), whose second field may hold anything. */
bool proc_stat_parse(struct proc_stat *st, const char *text, size_t len);

/* False where there is no such process. */
bool proc_stat_read(struct proc_stat *st, pid_t pid);

/* Calls `each` for every process that is there, zombies aside. */
void proc_each(void (*each)(void *data, pid_t pid, const struct proc_stat *st), void *data);

#endif
