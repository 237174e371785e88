#include "config.h"

#include "session/forwarding.h"

#include "base/file.h"
#include "base/process.h"
#include "base/runtime.h"
#include "channel/forward.h"
#include "policy/xauth.h"
#include "protocol/message.h"
#include "session/agent.h"
#include "session/background.h"
#include "session/confine.h"
#include "session/occupied.h"
#include "session/x11_place.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <syslog.h>
#include <unistd.h>

enum what { AGENT, DISPLAY, WHATS };

static const char *const names[] = {[AGENT] = "the client's agent", [DISPLAY] = "X11"};

/* The descriptors that the broker keeps; those of what isn't forwarded are -1. */
enum kept { LIFELINE, FOUND, FOLDER, LISTENERS, KEPT = LISTENERS + WHATS };

struct broker {
    int fds[KEPT];
    enum what whats[WHATS]; /* what each of the listeners is for */
    size_t count;           /* of them */
    int relay;
    struct agent_sshd sshd;
    const struct x11 *x11;
    const char *session;
    bool told[WHATS]; /* the log has why one of its connections failed */
};

/* Nothing of what the client or its container could choose: it is for the log's line. */
static void tell(const char *session, enum what what, const char *why)
{
    syslog(LOG_NOTICE, "session=%s cannot forward %s: %s", session, names[what], why);
}

/* Whether sockets of this machine's work in this policy's containers. */
static bool takes_sockets(const struct session *s)
{
    const struct policy *p = s->policy;

    return p->engine.socket && (s->direct || !p->runtime || policy_passes_sockets(p->runtime));
}

static bool place_is_free(const struct session *s)
{
    return !occupied(s->policy, X11_AT, X11_ABOVE);
}

bool forwarding_mounts(const struct session *s)
{
    return takes_sockets(s) && (s->policy->agent_forwarding || forwarding_mounts_x11(s));
}

bool forwarding_mounts_x11(const struct session *s)
{
    return s->policy->x11_forwarding && takes_sockets(s) && place_is_free(s);
}

int forwarding_make_folder(const struct session *s, struct error **err)
{
    cleanup_fd int folder = lease_make_folder(&s->lease, err);

    if (folder < 0 || (forwarding_mounts_x11(s) && x11_place_make(folder, err) < 0))
        return -1;
    return release_fd(&folder);
}

static const char *offered(const struct request *request, const char *name)
{
    const char *value = request_getenv(request, name);

    return value && value[0] ? value : NULL;
}

static int plan_agent(struct session *s, struct error **err)
{
    struct request *r = &s->request;
    char name[AGENT_NAME_SIZE];

    if (!takes_sockets(s))
        return error_set(err, 0,
                         "the container's engine or runtime takes no sockets of this machine's");
    agent_name(name, r->session);
    snprintf(r->agent, sizeof r->agent, GUEST_RUN "/%s", name);
    return 0;
}

/* By what pam_berth vouches for: XAUTHORITY may be the client's word. */
static int read_cookie(const struct session *s, struct x11 *x11, struct error **err)
{
    const struct request *r = &s->request;
    char name[XAUTH_NAME_SIZE];
    size_t len;

    if (!r->vouched.id[0])
        return error_set(err, 0, "no pam_berth made a file for its cookie: pam_berth(8)");
    cleanup_fd int dir = runtime_open_user(s->policy->runtime_dir, r->account.uid, false, err);
    if (dir < 0)
        return -1;
    xauth_name(name, r->vouched.id);
    cleanup_fd int fd = runtime_open_own(dir, name, O_RDONLY);
    char *data = fd >= 0 ? file_read_all(fd, XAUTHORITY_MAX, &len) : NULL;
    if (!data)
        return error_set(err, errno, "cannot read pam_berth's file for its cookie");
    int rc = xauthority_find(&x11->cookie, x11->number, (unsigned char *)data, len, err);
    explicit_bzero(data, len);
    free(data);
    return rc < 0 ? error_wrap(err, "its cookie, by sshd's xauth") : 0;
}

static int plan_x11(struct session *s, struct error **err)
{
    struct request *r = &s->request;
    char name[X11_NAME_SIZE];

    if (!takes_sockets(s))
        return error_set(err, 0,
                         "the container's engine or runtime takes no sockets of this machine's");
    if (!place_is_free(s))
        return error_set(
            err, 0, "berth.conf mounts something else at " X11_AT ", or a read-only " X11_ABOVE);
    if (x11_read(&s->x11, offered(r, "DISPLAY"), err) < 0 || read_cookie(s, &s->x11, err) < 0 ||
        x11_find(&s->x11, err) < 0)
        return -1;
    x11_authority_name(name, r->session);
    snprintf(r->display, sizeof r->display, ":%u.%u", s->x11.number, s->x11.screen);
    snprintf(r->xauthority, sizeof r->xauthority, GUEST_RUN "/%s", name);
    return 0;
}

void forwarding_plan(struct session *s)
{
    const struct policy *p = s->policy;
    const struct request *r = &s->request;
    cleanup_error struct error *agent = NULL, *x11 = NULL;

    if (p->agent_forwarding && offered(r, "SSH_AUTH_SOCK") && plan_agent(s, &agent) < 0)
        tell(r->session, AGENT, error_text(agent));
    if (p->x11_forwarding && offered(r, "DISPLAY") && plan_x11(s, &x11) < 0)
        tell(r->session, DISPLAY, error_text(x11));
}

static void run_relay(struct broker *b, int broker, pid_t parent)
{
    cleanup_error struct error *err = NULL;

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    prctl(PR_SET_NAME, "berth-relay");
    if (getppid() != parent)
        return;
    close_fd(&b->fds[LIFELINE]);
    close_fd(&b->fds[FOUND]);
    close_fd(&b->fds[FOLDER]);
    if (confine_relay(&err) < 0)
        tell(b->session, b->whats[0], error_text(err));
    else
        forward_run(b->fds + LISTENERS, b->count, broker);
}

static pid_t fork_relay(struct broker *b)
{
    pid_t parent = getpid();
    int ends[2];

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
        return -1;
    pid_t pid = fork();
    if (pid == 0) {
        close(ends[0]);
        run_relay(b, ends[1], parent);
        _exit(0);
    }
    close(ends[1]);
    b->relay = ends[0];
    return pid;
}

static void answer(struct broker *b, enum what what)
{
    cleanup_error struct error *err = NULL;
    cleanup_fd int fd = what == AGENT ? agent_connect(b->fds[FOUND], &b->sshd, &err)
                                      : x11_connect(b->x11, &err);

    if (fd < 0 && !b->told[what])
        tell(b->session, what, error_text(err));
    b->told[what] = b->told[what] || fd < 0;
    forward_answer(b->relay, fd);
}

/* Until the helper or the relay is gone. */
static void serve(struct broker *b)
{
    size_t listener;

    for (;;) {
        struct pollfd fds[2] = {{.fd = b->fds[LIFELINE], .events = POLLIN},
                                {.fd = b->relay, .events = POLLIN}};
        if (poll(fds, 2, -1) < 0 && errno != EINTR)
            return;
        if (fds[0].revents)
            return;
        if (fds[1].revents && (!forward_asked(b->relay, &listener) || listener >= b->count)) {
            tell(b->session, b->whats[0], "its relay was ended");
            return;
        }
        if (fds[1].revents)
            answer(b, b->whats[listener]);
    }
}

static void withdraw(const struct broker *b)
{
    for (size_t i = 0; i < b->count; i++) {
        if (b->whats[i] == AGENT)
            agent_withdraw(b->fds[FOLDER], b->session);
        else
            x11_withdraw(b->fds[FOLDER], b->session, b->x11);
    }
}

static void run_broker(struct broker *b)
{
    pid_t relay = fork_relay(b);

    for (size_t i = 0; i < b->count; i++)
        close_fd(&b->fds[LISTENERS + i]);
    process_trim();
    if (relay > 0)
        serve(b);
    else
        tell(b->session, b->whats[0], "no process for it");
    withdraw(b);
    if (relay > 0) {
        kill(relay, SIGKILL);
        while (waitpid(relay, NULL, 0) < 0 && errno == EINTR)
            ;
    }
}

static int listen_for(struct session *s, struct broker *b, enum what what, struct error **err)
{
    if (what == AGENT) {
        agent_sshd_find(&b->sshd);
        b->fds[FOUND] = agent_find(offered(&s->request, "SSH_AUTH_SOCK"), err);
        return b->fds[FOUND] < 0 ? error_wrap(err, "SSH_AUTH_SOCK")
                                 : agent_listen(b->fds[FOLDER], b->session, err);
    }
    return x11_listen(b->fds[FOLDER], b->session, b->x11, err);
}

/* The place of the variable's value, which goes where there is nothing behind it. */
static char *value_of(struct session *s, enum what what)
{
    return what == AGENT ? s->request.agent : s->request.display;
}

static void prepare(struct session *s, struct broker *b)
{
    for (int i = 0; i < WHATS; i++) {
        cleanup_error struct error *err = NULL;
        const enum what what = (enum what)i;
        if (!value_of(s, what)[0])
            continue;
        int fd = listen_for(s, b, what, &err);
        if (fd >= 0) {
            b->whats[b->count] = what;
            b->fds[LISTENERS + b->count++] = fd;
            continue;
        }
        tell(b->session, what, error_text(err));
        value_of(s, what)[0] = '\0';
    }
}

/* The helper's own end of the lifeline, or -1 and errno. */
static int start_broker(struct broker *b)
{
    int ends[2];

    if (pipe2(ends, O_CLOEXEC) < 0)
        return -1;
    b->fds[LIFELINE] = ends[0];
    cleanup_fd int own = ends[1];
    pid_t pid = background_fork_with("berth-forward", b->fds, KEPT);
    if (pid == 0) {
        run_broker(b);
        _exit(0);
    }
    return pid < 0 ? -1 : release_fd(&own);
}

static void give_up(struct session *s, const struct broker *b, int errnum)
{
    cleanup_error struct error *err = NULL;

    error_set(&err, errnum, "no process for it");
    withdraw(b);
    for (size_t i = 0; i < b->count; i++) {
        tell(b->session, b->whats[i], error_text(err));
        value_of(s, b->whats[i])[0] = '\0';
    }
}

void forwarding_start(struct session *s)
{
    struct broker b = {.relay = -1, .x11 = &s->x11, .session = s->request.session};

    if ((!s->request.agent[0] && !s->request.display[0]) || s->forwarding >= 0)
        return;
    for (int i = 0; i < KEPT; i++)
        b.fds[i] = -1;
    b.fds[FOLDER] = lease_open_folder(&s->lease);
    prepare(s, &b);
    if (b.count > 0)
        s->forwarding = start_broker(&b);
    if (b.count > 0 && s->forwarding < 0)
        give_up(s, &b, errno);
    for (int i = 0; i < KEPT; i++)
        close_fd(&b.fds[i]);
}

void forwarding_stop(struct session *s)
{
    close_fd(&s->forwarding);
}
