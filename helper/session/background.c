#include "config.h"

#include "session/background.h"

#include "base/file.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <syslog.h>
#include <unistd.h>

void background_leave(const char *name)
{
    sigset_t none;
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);

    setsid();
    for (int fd = 0; fd < 3; fd++)
        if (null < 0 || dup2(null, fd) < 0)
            close(fd);
    if (null > 2)
        close(null);
    signal(SIGHUP, SIG_IGN);
    signal(SIGINT, SIG_IGN);
    signal(SIGTERM, SIG_IGN);
    signal(SIGPIPE, SIG_IGN);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    prctl(PR_SET_NAME, name);
    if (chdir("/") < 0)
        syslog(LOG_WARNING, "%s: chdir /: %m", name);
}

pid_t background_fork(const char *name)
{
    pid_t pid = fork();

    if (pid == 0) {
        if (fork() != 0)
            _exit(0);
        background_leave(name);
        /* A copy of the session's connection or of its watcher's pipe would keep
         * its end from being seen. */
        closelog();
        fd_close_from(3);
        return 0;
    }
    if (pid > 0)
        waitpid(pid, NULL, 0);
    return pid;
}
