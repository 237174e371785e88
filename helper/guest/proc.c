#include "config.h"

#include "guest/proc.h"

#include "base/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* One number of a list with blanks between them. */
static bool next_number(const char **at, long *n)
{
    char *end;

    errno = 0;
    *n = strtol(*at, &end, 10);
    if (end == *at || errno || *n > INT_MAX || *n < INT_MIN)
        return false;
    *at = end;
    return true;
}

/* PID (NAME) STATE PPID PGRP SESSION TTY FOREGROUND ...: after the last ')' there
 * are only numbers. */
bool proc_stat_parse(struct proc_stat *st, const char *text, size_t len)
{
    char rest[256];
    long n[5];

    const char *end = memrchr(text, ')', len);
    if (!end || (size_t)(text + len - end) < 4 || end[1] != ' ')
        return false;
    size_t left = (size_t)(text + len - end) - 3;
    left = left < sizeof rest ? left : sizeof rest - 1;
    memcpy(rest, end + 3, left);
    rest[left] = '\0';
    const char *at = rest;
    for (size_t i = 0; i < sizeof n / sizeof n[0]; i++)
        if (!next_number(&at, &n[i]))
            return false;
    *st = (struct proc_stat){.state = end[2], .session = (pid_t)n[2], .foreground = (pid_t)n[4]};
    return true;
}

bool proc_stat_read(struct proc_stat *st, pid_t pid)
{
    char path[32], text[1024];

    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    /* O_NONBLOCK: root of a container may have mounted what he likes there. */
    cleanup_fd int fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    ssize_t n = fd >= 0 ? read(fd, text, sizeof text) : -1;
    return n > 0 && proc_stat_parse(st, text, (size_t)n);
}

void proc_each(void (*each)(void *data, pid_t pid, const struct proc_stat *st), void *data)
{
    DIR *dir = opendir("/proc");
    const struct dirent *entry;

    while (dir && (entry = readdir(dir))) {
        struct proc_stat st;
        char *end;
        long pid = strtol(entry->d_name, &end, 10);

        if (*end == '\0' && pid > 0 && pid <= INT_MAX && proc_stat_read(&st, (pid_t)pid) &&
            st.state != 'Z')
            each(data, (pid_t)pid, &st);
    }
    if (dir)
        closedir(dir);
}
