#include "config.h"

#include "guest/guest.h"

#include "base/file.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

struct guest {
    int epoll, signals, listener;
    uid_t master;
    struct message_listen listen;
    const struct session_setting *setting;
    struct session *sessions;
    unsigned count;
    bool served;            /* there was a session */
    bool accepting;         /* the listener is armed */
    long long accept_again; /* when it is to be, where it isn't; now_ms() */
    bool accept_more;       /* others may be waiting there */
    bool reap_more;
    bool once_over;       /* LISTEN's one session has ended, or its helper is gone */
    long long idle_since; /* while count is 0 */
    long long ending;     /* told to end: when at the latest; else 0 */
};

static int watch(struct guest *g, int fd)
{
    /* Who it belongs to is looked up by its number: what was closed by an earlier
     * event of the same round is not found, or is asked for nothing. */
    struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};

    return epoll_ctl(g->epoll, EPOLL_CTL_ADD, fd, &event);
}

static void arm_listener(struct guest *g, bool on)
{
    struct epoll_event event = {.events = on ? EPOLLIN : 0, .data.fd = g->listener};

    if (g->listener >= 0 && on != g->accepting &&
        epoll_ctl(g->epoll, EPOLL_CTL_MOD, g->listener, &event) == 0)
        g->accepting = on;
}

static void close_listener(struct guest *g)
{
    close_fd(&g->listener);
    g->accepting = false;
}

/* Takes the connection, or closes it: whoever isn't the master costs nobody more
 * than this. */
static void admit(struct guest *g, int fd)
{
    uid_t uid;

    if (!creator_outside(fd, &uid) || uid != g->master) {
        close(fd);
        return;
    }
    struct session *s = creator_hello(fd, SESSION_SEND_MS) == 0 ? session_new(fd) : NULL;
    if (!s) {
        close(fd);
        return;
    }
    if (watch(g, fd) < 0) {
        session_free(s);
        return;
    }
    s->next = g->sessions;
    g->sessions = s;
    g->count++;
    g->served = true;
}

static void accept_some(struct guest *g)
{
    g->accept_more = false;
    for (int i = 0; i < GUEST_ACCEPT_MAX && g->listener >= 0; i++) {
        if (g->count >= GUEST_SESSIONS_MAX) {
            g->accept_again = LLONG_MAX;
            arm_listener(g, false);
            return;
        }
        int fd = accept4(g->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (fd >= 0) {
            admit(g, fd);
        } else if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS) {
            g->accept_again = now_ms() + GUEST_ACCEPT_AGAIN_MS;
            arm_listener(g, false);
            return;
        } else if (errno != EINTR && errno != ECONNABORTED) {
            return;
        }
    }
    g->accept_more = g->listener >= 0;
}

static struct session *session_of(const struct guest *g, int fd)
{
    for (struct session *s = g->sessions; s; s = s->next)
        if (s->fd == fd || s->report == fd)
            return s;
    return NULL;
}

/* A process has just been made for `s`. */
static void after_start(struct guest *g, struct session *s)
{
    if (watch(g, s->report) < 0) {
        session_hang_up(s, g->setting);
        return;
    }
    /* Its number is the leader's of a session that was hung up: nobody of that
     * one is left, else the number were not free. */
    for (struct session *old = g->sessions; old; old = old->next)
        if (old != s && old->pid == s->pid)
            old->state = SESSION_DONE;
    if (s->warm)
        g->served = false;
    if (!g->listen.once || s->warm)
        return;
    close_listener(g);
    for (struct session *other = g->sessions; other; other = other->next)
        if (other != s && other->state == SESSION_WAITING)
            session_refuse(other, "this container is for one session, and has it");
}

static void session_event(struct guest *g, int fd)
{
    struct session *s = session_of(g, fd);

    if (!s)
        return;
    if (fd == s->report) {
        session_reported(s, g->setting);
        return;
    }
    const bool waiting = s->state == SESSION_WAITING;
    session_receive(s, g->setting);
    if (waiting && s->state == SESSION_STARTING)
        after_start(g, s);
}

static void reap(struct guest *g)
{
    int status;
    pid_t pid;

    g->reap_more = false;
    for (int i = 0; i < GUEST_REAP_MAX; i++) {
        pid = waitpid(-1, &status, WNOHANG);
        if (pid <= 0)
            return;
        for (struct session *s = g->sessions; s; s = s->next)
            if (s->pid == pid && !s->reaped)
                session_ended(s, status, g->setting);
    }
    g->reap_more = true;
}

/* Each helper hears why before what runs is hung up: it has the command's stderr for a word of
 * its own as long as somebody else has it (channel/direct.c). */
static void end_all(struct guest *g)
{
    bool told = false;

    if (g->ending)
        return;
    close_listener(g);
    for (struct session *s = g->sessions; s; s = s->next)
        told = session_warn(s, "the container is being stopped") || told;
    if (told)
        pause_ms(GUEST_TOLD_MS);
    for (struct session *s = g->sessions; s; s = s->next)
        session_hang_up(s, g->setting);
    g->ending = now_ms() + g->listen.grace;
}

static void take_signals(struct guest *g)
{
    struct signalfd_siginfo info;

    while (read(g->signals, &info, sizeof info) == sizeof info) {
        if (info.ssi_signo == SIGCHLD)
            g->reap_more = true;
        /* kill(2) from outside this PID namespace. A process inside can't write
         * si_pid 0 there, but could with SI_QUEUE (rt_sigqueueinfo(2)). */
        else if (info.ssi_code == SI_USER && info.ssi_pid == 0)
            end_all(g);
    }
}

static void sweep(struct guest *g)
{
    struct session **at = &g->sessions;

    while (*at) {
        struct session *s = *at;
        /* Not one that was refused because there is another. */
        if (g->listen.once && !s->warm && s->state >= SESSION_HANGING &&
            (s->pid > 0 || g->listener >= 0))
            g->once_over = true;
        if (s->state != SESSION_DONE) {
            at = &s->next;
            continue;
        }
        *at = s->next;
        session_free(s);
        g->count--;
        g->idle_since = now_ms();
    }
    if (g->accept_again == LLONG_MAX && g->count < GUEST_SESSIONS_MAX)
        arm_listener(g, true);
}

static void expire(struct guest *g)
{
    const long long now = now_ms();

    for (struct session *s = g->sessions; s; s = s->next)
        if (session_deadline(s) <= now)
            session_expire(s);
    session_kill(g->sessions);
    if (g->accept_again <= now)
        arm_listener(g, true);
}

static long long idle_until(const struct guest *g)
{
    if (g->count > 0 || g->listen.linger == LINGER_FOREVER)
        return LLONG_MAX;
    const long long linger = (long long)g->listen.linger * 1000;
    return g->idle_since + (g->served || linger > GUEST_FIRST_MS ? linger : GUEST_FIRST_MS);
}

/* For epoll_wait(2). */
static int wait_time(const struct guest *g)
{
    long long until = idle_until(g);

    if (g->reap_more || g->accept_more)
        return 0;
    for (const struct session *s = g->sessions; s; s = s->next)
        until = session_deadline(s) < until ? session_deadline(s) : until;
    if (g->ending && g->ending < until)
        until = g->ending;
    if (!g->accepting && g->listener >= 0 && g->accept_again < until)
        until = g->accept_again;
    if (until == LLONG_MAX)
        return -1;
    until -= now_ms();
    if (until < 0)
        return 0;
    return until < INT_MAX ? (int)until : INT_MAX;
}

/* Some session's leader has not ended. */
static bool is_busy(const struct guest *g)
{
    for (const struct session *s = g->sessions; s; s = s->next)
        if (s->pid > 0 && !s->reaped)
            return true;
    return false;
}

/* A connection that the listener still holds is taken: its helper came in time.
 * One that comes after this look sees its end, without having got a word. */
static bool time_is_over(struct guest *g)
{
    if (g->once_over)
        return true;
    if (g->ending)
        return !is_busy(g) || now_ms() >= g->ending;
    if (now_ms() < idle_until(g))
        return false;
    g->accept_more = true;
    for (int i = 0; i < GUEST_LAST_LOOKS && g->accept_more && g->count == 0; i++)
        accept_some(g);
    return g->count == 0;
}

static void serve(struct guest *g)
{
    struct epoll_event events[64];

    while (!time_is_over(g)) {
        int n = epoll_wait(g->epoll, events, sizeof events / sizeof events[0], wait_time(g));

        for (int i = 0; i < n; i++) {
            if (events[i].data.fd == g->signals)
                take_signals(g);
            else if (events[i].data.fd == g->listener)
                g->accept_more = true;
            else
                session_event(g, events[i].data.fd);
        }
        if (g->accept_more)
            accept_some(g);
        if (g->reap_more)
            reap(g);
        expire(g);
        sweep(g);
    }
}

int guest_serve(const struct creator *creator, const struct session_setting *setting,
                struct error **err)
{
    struct guest g = {
        .epoll = epoll_create1(EPOLL_CLOEXEC),
        .listener = creator->listener,
        .master = creator->master,
        .listen = creator->listen,
        .setting = setting,
        .accepting = true,
        .accept_again = LLONG_MAX,
        .idle_since = now_ms(),
    };
    sigset_t heeded;
    int result = 0;

    sigemptyset(&heeded);
    sigaddset(&heeded, SIGCHLD);
    sigaddset(&heeded, SIGTERM);
    sigaddset(&heeded, SIGINT);
    g.signals = signalfd(-1, &heeded, SFD_CLOEXEC | SFD_NONBLOCK);
    if (g.epoll < 0 || g.signals < 0 || watch(&g, g.signals) < 0 || watch(&g, g.listener) < 0)
        result = error_set(err, errno, "cannot watch its descriptors");
    else
        serve(&g);
    if (result == 0 && g.ending)
        result = GUEST_STOPPED;
    close_listener(&g);
    while (g.sessions) {
        struct session *s = g.sessions;
        g.sessions = s->next;
        session_free(s);
    }
    close_fd(&g.signals);
    close_fd(&g.epoll);
    return result;
}
