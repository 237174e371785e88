#include "config.h"

#include "guest/session.h"

#include "base/file.h"
#include "base/text.h"
#include "guest/proc.h"
#include "guest/program.h"
#include "guest/terminal.h"
#include "protocol/start.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <malloc.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

struct session *session_new(int fd)
{
    struct session *s = calloc(1, sizeof *s);

    if (!s)
        return NULL;
    s->fd = fd;
    s->report = s->master = -1;
    s->deadline = now_ms() + SESSION_START_MS;
    stream_open(&s->stream, fd, MESSAGE_FROM_HELPER);
    return s;
}

static void let_go(struct session *s)
{
    stream_clear(&s->stream);
    close_fd(&s->fd);
    close_fd(&s->report);
    close_fd(&s->master);
}

void session_free(struct session *s)
{
    let_go(s);
    free(s);
}

/* To its process group; with a terminal to the one in the foreground there, which
 * the leader's entry in /proc names. */
static void session_signal(const struct session *s, int number)
{
    struct proc_stat st;
    pid_t group = s->pid;

    if (s->tty && proc_stat_read(&st, s->pid) && st.foreground > 1)
        group = st.foreground;
    /* A process that is just forked has no group of its own yet. */
    if (kill(-group, number) < 0 && errno == ESRCH)
        kill(s->pid, number);
}

void session_hang_up(struct session *s, const struct session_setting *setting)
{
    if (s->state == SESSION_WAITING)
        s->state = SESSION_DONE;
    if (s->state != SESSION_STARTING && s->state != SESSION_RUNNING)
        return;
    if (s->tty)
        session_signal(s, SIGHUP);
    if (kill(-s->pid, SIGHUP) < 0 && errno == ESRCH)
        kill(s->pid, SIGHUP);
    kill(-s->pid, SIGCONT);
    let_go(s);
    s->state = SESSION_HANGING;
    s->deadline = now_ms() + setting->grace;
}

/* A helper that takes nothing sees the end instead. */
static void say(const struct session *s, const char *why)
{
    (void)message_send(s->fd, MESSAGE_ERROR, why, strlen(why), NULL, 0, SESSION_SEND_MS);
}

void session_refuse(struct session *s, const char *why)
{
    say(s, why);
    let_go(s);
    s->state = SESSION_DONE;
}

bool session_warn(const struct session *s, const char *why)
{
    if (s->state > SESSION_RUNNING)
        return false;
    say(s, why);
    return s->state != SESSION_WAITING;
}

/* The helper is told, and what runs is hung up. */
static void session_fail(struct session *s, const char *text, const struct session_setting *setting)
{
    say(s, text);
    session_hang_up(s, setting);
}

/* Malformed. */
static void session_reject(struct session *s, const char *why,
                           const struct session_setting *setting)
{
    cleanup_string char *text = text_format("the container's guest got a message %s", why);

    if (s->state == SESSION_WAITING) {
        session_refuse(s, text ? text : why);
        return;
    }
    session_fail(s, text ? text : why, setting);
}

static void session_refuse_errno(struct session *s, const char *what)
{
    const char *advice = "";

    if (errno == EAGAIN)
        advice = ": the container's limit of processes is reached (pids in berth.conf)";
    else if (errno == ENOSPC || errno == EMFILE || errno == ENFILE)
        advice = ": too many are open";
    cleanup_string char *text = text_format("cannot make %s: %s%s", what, strerror(errno), advice);
    session_refuse(s, text ? text : what);
}

/* Forks; the parent keeps the pipe's reading end alone. */
static pid_t session_fork(struct session *s, struct program *program)
{
    int ends[2];

    if (pipe2(ends, O_CLOEXEC) < 0)
        return -1;
    program->report = ends[1];
    pid_t pid = fork();
    if (pid == 0)
        program_run(program);
    close_fd(&ends[1]);
    if (pid < 0) {
        close_fd(&ends[0]);
        return -1;
    }
    fcntl(ends[0], F_SETFL, O_NONBLOCK);
    s->report = ends[0];
    return pid;
}

static void session_start(struct session *s, const struct message *m, const struct start *start,
                          const struct session_setting *setting)
{
    cleanup_fd int slave = -1;
    struct program program = {
        .start = start,
        .fds = {m->fds[0], m->fds[1], m->fds[2]},
        .files = setting->files,
        .environment = setting->environment,
    };

    s->tty = start->tty;
    s->warm = start->kind == START_WARM;
    if (start->tty && terminal_open(start, &s->master, &slave) < 0) {
        session_refuse_errno(s, "a terminal");
        return;
    }
    for (int i = 0; start->tty && i < 3; i++)
        program.fds[i] = slave;
    s->pid = session_fork(s, &program);
    if (s->pid < 0) {
        s->pid = 0;
        session_refuse_errno(s, "a process");
        return;
    }
    s->state = SESSION_STARTING;
    s->deadline = LLONG_MAX;
}

/* A helper that has given up and gone, to try elsewhere perhaps. */
static bool session_abandoned(const struct session *s)
{
    char byte;

    return recv(s->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 0;
}

static void session_begin(struct session *s, const struct message *m,
                          const struct session_setting *setting)
{
    struct start start;
    const char *why;

    if (start_read(&start, m->payload, m->len, &why) < 0) {
        session_reject(s, why, setting);
        return;
    }
    if (m->nfds != (start.tty ? 0 : 3))
        session_reject(s, "with a wrong number of descriptors", setting);
    else if (session_abandoned(s))
        s->state = SESSION_DONE;
    else
        session_start(s, m, &start, setting);
    start_clear(&start);
    /* What many small strings took, the heap would keep. */
    if (m->len > SESSION_LARGE)
        malloc_trim(0);
}

void session_receive(struct session *s, const struct session_setting *setting)
{
    cleanup_message struct message m;
    const char *why;

    switch (stream_read(&s->stream, &m, &why)) {
    case STREAM_AGAIN:
        break;
    case STREAM_END:
        session_hang_up(s, setting);
        break;
    case STREAM_BAD:
        session_reject(s, why, setting);
        break;
    case STREAM_MESSAGE:
        if (m.type == MESSAGE_START && s->state == SESSION_WAITING)
            session_begin(s, &m, setting);
        else if (m.type == MESSAGE_SIGNAL && s->state != SESSION_WAITING)
            session_signal(s, (unsigned char)m.payload[0]);
        else
            session_reject(s, "that isn't due", setting);
        break;
    }
}

/* execve has worked. */
static void session_started(struct session *s, const struct session_setting *setting)
{
    int sent = message_send(s->fd, MESSAGE_STARTED, NULL, 0, &s->master, s->master >= 0 ? 1 : 0,
                            SESSION_SEND_MS);

    close_fd(&s->report);
    /* A master kept here would keep the terminal alive after the helper. */
    close_fd(&s->master);
    s->state = SESSION_RUNNING;
    /* Said, for a mere end would mean that nothing was run. */
    if (sent < 0)
        session_fail(s, "the container's guest could not tell that it has started", setting);
}

void session_reported(struct session *s, const struct session_setting *setting)
{
    char text[MESSAGE_ERROR_MAX + 1];
    ssize_t n = read(s->report, text, MESSAGE_ERROR_MAX);

    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n > 0) {
        text[n] = '\0';
        session_refuse(s, text);
        return;
    }
    session_started(s, setting);
}

void session_ended(struct session *s, int wait_status, const struct session_setting *setting)
{
    const bool exited = WIFEXITED(wait_status);
    const unsigned char status[MESSAGE_EXIT_SIZE] = {
        exited ? 0 : 1,
        (unsigned char)(exited ? WEXITSTATUS(wait_status) : WTERMSIG(wait_status)),
    };

    s->reaped = true;
    /* Its end of the pipe is closed: what it had to say is there. */
    if (s->state == SESSION_STARTING)
        session_reported(s, setting);
    if (s->state == SESSION_STARTING)
        session_started(s, setting);
    if (s->state != SESSION_RUNNING)
        return;
    (void)message_send(s->fd, MESSAGE_EXIT, status, sizeof status, NULL, 0, SESSION_SEND_MS);
    let_go(s);
    s->state = SESSION_DONE;
}

long long session_deadline(const struct session *s)
{
    return s->state == SESSION_STARTING || s->state == SESSION_RUNNING ? LLONG_MAX : s->deadline;
}

void session_expire(struct session *s)
{
    if (s->state == SESSION_WAITING)
        session_refuse(s, "no whole START came in 10 s");
    else if (s->state == SESSION_HANGING)
        s->state = SESSION_KILLING;
}

/* Background jobs have process groups of their own, but the leader's session. */
static void kill_member(void *data, pid_t pid, const struct proc_stat *st)
{
    for (struct session *s = data; s; s = s->next) {
        if (s->state != SESSION_KILLING || s->pid != st->session)
            continue;
        s->found = true;
        kill(pid, SIGKILL);
        return;
    }
}

void session_kill(struct session *list)
{
    const long long now = now_ms();
    bool due = false;

    for (struct session *s = list; s; s = s->next) {
        s->found = false;
        if (s->state != SESSION_KILLING || s->deadline > now)
            continue;
        due = true;
        if (!s->reaped)
            kill(s->pid, SIGKILL);
    }
    if (!due)
        return;
    proc_each(kill_member, list);
    for (struct session *s = list; s; s = s->next) {
        if (s->state != SESSION_KILLING || s->deadline > now)
            continue;
        s->deadline = now + SESSION_KILL_ROUND_MS;
        if (!s->found || ++s->rounds >= SESSION_KILL_ROUNDS)
            s->state = SESSION_DONE;
    }
}
