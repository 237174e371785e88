#include "config.h"

#include "pam/sweep.h"

#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#define BERTH BERTH_SBINDIR "/berth"

/* Nothing of sshd's goes along: no descriptor, for a client would wait for it, no
 * blocked signal, no variable. */
static void run(const char *config, const char *uid)
{
    char *const argv[] = {(char *)"berth",
                          (char *)"reap",
                          (char *)"--config",
                          (char *)config,
                          (char *)"--user",
                          (char *)uid,
                          NULL};
    char *const env[] = {NULL};
    sigset_t none;

    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (null < 0 || dup2(null, 0) < 0 || dup2(null, 1) < 0 || dup2(null, 2) < 0 || chdir("/") < 0)
        return;
    fd_close_from(3);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    signal(SIGCHLD, SIG_DFL);
    execve(BERTH, argv, env);
}

void sweep_start(const char *config, uid_t uid)
{
    char number[16];
    int status;

    snprintf(number, sizeof number, "%u", (unsigned)uid);
    pid_t pid = fork();
    if (pid == 0) {
        /* Init's child at once: sshd has no use for its end. */
        if (setsid() >= 0 && fork() == 0)
            run(config, number);
        _exit(0);
    }
    while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
}
