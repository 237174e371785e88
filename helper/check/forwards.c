#include "config.h"

#include "check/forwards.h"

#include "check/modules.h"

#include <string.h>
#include <unistd.h>

/* What sshd can forward into a container, and what there is to say of it. */
struct forward {
    const char *option, *ours; /* of sshd_config, of berth.conf */
    enum severity severity;    /* of sshd's letting it where berth.conf doesn't */
    const char *let, *let_why;
    const char *shut, *shut_why;
    const char *apart, *apart_why;
    const char *open, *open_what, *open_why, *open_mend;
};

static const struct forward agent = {
    .option = "AllowAgentForwarding",
    .ours = "agent_forwarding",
    .severity = FINDING_PROBLEM,
    .let = "sshd-agent-forwarding",
    .let_why = "sshd makes the agent's socket on this machine, where others may use it, and "
               "berth.conf keeps it from the container (agent_forwarding = no)",
    .shut = "sshd-agent-shut",
    .shut_why = "sshd forwards no agent, so nobody has one in his container",
    .apart = "agent-out-of-reach",
    .apart_why = "nobody has his agent in his container",
    .open = "agent-open",
    .open_what = "the client's agent is forwarded into the container",
    .open_why = "whatever runs in the container, or as root on this machine, can log in elsewhere "
                "by the client's keys while he is in",
    .open_mend = "agent_forwarding = yes only for who needs it; clients can ask at each use "
                 "(ssh-add -c)",
};

static const struct forward x11 = {
    .option = "X11Forwarding",
    .ours = "x11_forwarding",
    .severity = FINDING_HOLE,
    .let = "sshd-x11-forwarding",
    .let_why = "sshd runs xauth on this machine as the user, with the session's variables",
    .shut = "sshd-x11-shut",
    .shut_why = "sshd forwards no display, so nobody has one in his container",
    .apart = "x11-out-of-reach",
    .apart_why = "nobody has his display in his container",
    .open = "x11-open",
    .open_what = "the client's display is forwarded into the container",
    .open_why = "whatever runs in the container, or as root on this machine, can see his screen "
                "and type in his name while he is in (ssh -Y); all users of this machine can "
                "connect to sshd's port on 127.0.0.1, where the cookie alone keeps them out",
    .open_mend = "x11_forwarding = yes only for who needs it",
};

/* Each release has it shut by its own option; DisableForwarding shuts it in newer ones,
 * so it must be gone where it is to be open. */
static const char *shut_by(const struct subject *s, const char *option)
{
    if (sshd_is(&s->sshd, option, "no"))
        return option;
    return sshd_is(&s->sshd, "DisableForwarding", "yes") ? "DisableForwarding" : NULL;
}

static void look_at_shut(const struct subject *s, const struct forward *f, struct check *check)
{
    const char *value = sshd_get(&s->sshd, f->option, 0);

    if (value && strcmp(value, "no") == 0)
        return;
    subject_add(check, s, .severity = f->severity, .id = f->let,
                .what = text_format("sshd: %s is %s", f->option, value ? value : "not told"),
                .why = f->let_why,
                .mend = text_format("%s no (in their Match block of sshd_config); or %s = yes",
                                    f->option, f->ours));
}

/* Whether it gets to the container. */
static bool look_at_open(const struct subject *s, const struct forward *f, struct check *check)
{
    const struct policy *p = s->policy;
    const char *shut = shut_by(s, f->option);
    const char *apart = !p->engine.socket                                  ? p->engine.endpoint
                        : p->runtime && !policy_passes_sockets(p->runtime) ? p->runtime
                                                                           : NULL;

    if (shut)
        subject_add(check, s, .severity = FINDING_NOTE, .id = f->shut,
                    .what = text_format("%s = yes, and sshd: %s is %s", f->ours, shut,
                                        sshd_get(&s->sshd, shut, 0)),
                    .why = f->shut_why,
                    .mend = text_format("%s yes and DisableForwarding no, the other lines of "
                                        "50-berth.conf as they are",
                                        f->option));
    else if (apart)
        subject_add(check, s, .severity = FINDING_NOTE, .id = f->apart,
                    .what = text_format("%s = yes, and %s takes no sockets of this machine's",
                                        f->ours, apart),
                    .why = f->apart_why, .mend = text_format("%s no", f->option));
    else
        subject_add(check, s, .severity = FINDING_NOTE, .id = f->open,
                    .what = text_format("%s", f->open_what), .why = f->open_why,
                    .mend = text_format("%s", f->open_mend));
    return !shut && !apart;
}

/* sshd has the cookie written by xauth, and pam_berth says where to. */
static void look_at_xauth(const struct subject *s, const struct stacks *stacks, struct check *check)
{
    const char *xauth = sshd_get(&s->sshd, "XAuthLocation", 0);

    if (stacks && !modules_has_berth(stacks, STACK_SESSION))
        subject_add(check, s, .severity = FINDING_HOLE, .id = "x11-no-pam",
                    .what = text_format("x11_forwarding = yes, and no " PAM_MODULE " for session"),
                    .why = "sshd runs xauth on this machine as the user, with variables that "
                           "nobody cleared, and nobody has a display: it has no file to write",
                    .mend = text_format("session required " PAM_MODULE
                                        " as the last session line; or X11Forwarding no"));
    if (!xauth || access(xauth, X_OK) < 0)
        subject_add(check, s, .severity = FINDING_NOTE, .id = "sshd-no-xauth",
                    .what = text_format("sshd: XAuthLocation is %s, and there is no such program",
                                        xauth ? xauth : "not told"),
                    .why = "sshd forwards no display without it",
                    .mend = text_format("install xauth, or say where it is"));
    if (access(SSHRC, F_OK) == 0)
        subject_add(check, s, .severity = FINDING_NOTE, .id = "x11-sshrc",
                    .what = text_format("%s is there, and sshd leaves xauth to it", SSHRC),
                    .why = "nobody has a display unless it runs xauth as sshd(8) has it",
                    .mend = text_format("rm %s", SSHRC));
    if (!sshd_is(&s->sshd, "X11UseLocalhost", "yes"))
        subject_add(check, s, .severity = FINDING_PROBLEM, .id = "sshd-x11-localhost",
                    .what = text_format("sshd: X11UseLocalhost isn't yes"),
                    .why = "sshd listens for displays on all addresses of this machine, and "
                           "berth takes none but localhost's into a container",
                    .mend = text_format("X11UseLocalhost yes"));
}

void forwards_look(const struct subject *s, const struct stacks *stacks, struct check *check)
{
    if (s->policy && s->policy->agent_forwarding)
        (void)look_at_open(s, &agent, check);
    else
        look_at_shut(s, &agent, check);
    if (!s->policy || !s->policy->x11_forwarding)
        look_at_shut(s, &x11, check);
    else if (look_at_open(s, &x11, check))
        look_at_xauth(s, stacks, check);
}
