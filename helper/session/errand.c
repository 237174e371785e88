#include "config.h"

#include "session/errand.h"

#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

enum { TEXT_MAX = 2048 };

/* Small enough to be written and read in one piece (pipe(7), PIPE_BUF). */
struct answer {
    int rc;
    enum error_kind kind;
    char text[TEXT_MAX];
    _Alignas(max_align_t) char reply[ERRAND_REPLY_MAX];
};

static void do_errand(errand *run, void *data, int out, pid_t parent)
{
    struct answer answer = {0};
    cleanup_error struct error *err = NULL;

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        return;
    answer.rc = run(data, answer.reply, &err);
    if (answer.rc < 0) {
        answer.kind = error_kind(err);
        snprintf(answer.text, sizeof answer.text, "%s", error_text(err));
    }
    if (write(out, &answer, sizeof answer) != (ssize_t)sizeof answer)
        return; /* nobody waits for it any more */
}

static int take_answer(struct client *client, int in, struct answer *answer, struct error **err)
{
    struct pollfd fd = {.fd = in, .events = POLLIN};
    int ready;

    do
        ready = client_poll(client, &fd, 1, -1, err);
    while (ready == 0);
    if (ready < 0)
        return -1;
    ssize_t n = read(in, answer, sizeof *answer);
    if (n != (ssize_t)sizeof *answer)
        return error_set(err, n < 0 ? errno : 0, "the process that asks the engine ended early");
    answer->text[TEXT_MAX - 1] = '\0';
    return answer->rc < 0 ? error_set_kind(err, answer->kind, "%s", answer->text) : 0;
}

int errand_run(struct client *client, errand *run, void *data, void *reply, size_t size,
               struct error **err)
{
    struct answer answer;
    pid_t parent = getpid();
    int ends[2];

    if (size > sizeof answer.reply)
        return error_set(err, 0, "a reply of %zu bytes", size);
    if (pipe2(ends, O_CLOEXEC) < 0)
        return error_set(err, errno, "pipe");
    pid_t pid = fork();
    if (pid == 0) {
        close(ends[0]);
        do_errand(run, data, ends[1], parent);
        _exit(0);
    }
    close(ends[1]);
    cleanup_fd int in = ends[0];
    if (pid < 0)
        return error_set(err, errno, "fork");
    int rc = take_answer(client, in, &answer, err);
    /* It has answered, or nobody waits for it. */
    kill(pid, SIGKILL);
    while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
        ;
    if (rc == 0 && size > 0)
        memcpy(reply, answer.reply, size);
    return rc;
}
