#include "config.h"

#include "check/ports.h"

#include "base/file.h"
#include "check/nsswitch.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define ARGUMENT "forwarding" /* of pam_berth's session line */
#define LINE     "session required " PAM_MODULE " " ARGUMENT " as the last session line"
#define NSSWITCH "/etc/nsswitch.conf"

enum { NSSWITCH_MOST = 64 * 1024 };

/* Why pam_berth can't be relied on to take a login's sshd out of this machine's network,
 * and what mends that. */
struct obstacle {
    char *what, *mend;
};

static void obstacle_free(struct obstacle *obstacle)
{
    free(obstacle->what);
    free(obstacle->mend);
}

/* pam_berth's line: the one with the argument, where there are several. */
static const struct stack_entry *berth_line(const struct stack *stack, size_t *index)
{
    const size_t first = stack_find(stack, PAM_MODULE, 0);

    *index = first;
    for (size_t i = first; i < stack->count; i = stack_find(stack, PAM_MODULE, i + 1)) {
        if (!stack_has_word(&stack->entries[i], ARGUMENT))
            continue;
        *index = i;
        break;
    }
    return first < stack->count ? &stack->entries[*index] : NULL;
}

static bool has_argument(const struct stacks *stacks)
{
    size_t index;
    const struct stack_entry *berth = stacks ? berth_line(&stacks->types[STACK_SESSION], &index)
                                             : NULL;

    return berth && stack_has_word(berth, ARGUMENT);
}

/* By the stack: whatever another module says, pam_berth has its turn, and its failure is
 * the login's. */
static bool stack_hinders(const struct stacks *stacks, struct obstacle *o)
{
    const struct stack *stack = &stacks->types[STACK_SESSION];
    const struct stack_entry *berth, *other;
    size_t index;

    if (!(berth = berth_line(stack, &index)))
        *o = (struct obstacle){text_format("%s has no session line of " PAM_MODULE, stacks->file),
                               text_format(LINE)};
    else if ((other = stack_may_skip(stack, index)))
        *o = (struct obstacle){
            text_format("%s:%u: session %s %s can pass over " PAM_MODULE " (%s:%u)", other->file,
                        other->line, other->control, other->module, berth->file, berth->line),
            text_format("put the " PAM_MODULE " line before %s:%u", other->file, other->line)};
    else if (berth->lenient)
        *o = (struct obstacle){text_format("%s:%u: the \"-\" before session passes over " PAM_MODULE
                                           " where its file is missing",
                                           berth->file, berth->line),
                               text_format(LINE)};
    else if (!stack_entry_counts(berth))
        *o = (struct obstacle){text_format("%s:%u: a failure of session %s " PAM_MODULE
                                           " isn't the stack's",
                                           berth->file, berth->line, berth->control),
                               text_format(LINE)};
    else if ((other = stack_forgets(stack, index)))
        *o = (struct obstacle){
            text_format("%s:%u: session %s %s can take a failure of " PAM_MODULE " back",
                        other->file, other->line, other->control,
                        other->module ? other->module : ""),
            text_format("put the " PAM_MODULE " line after %s:%u", other->file, other->line)};
    else
        return false;
    return true;
}

/* It has a turn, in each login that sshd lets in. */
static bool module_hinders(const struct subject *s, const struct stacks *stacks, struct obstacle *o)
{
    const char *service = sshd_get(&s->sshd, "PAMServiceName", 0);

    if (!sshd_is(&s->sshd, "UsePAM", "yes"))
        *o = (struct obstacle){text_format("sshd: UsePAM isn't yes, so " PAM_MODULE " never runs"),
                               text_format("UsePAM yes")};
    else if (service && strcmp(service, "sshd") != 0)
        *o = (struct obstacle){text_format("sshd: PAMServiceName is %s, and " PAM_MODULE
                                           " acts in sshd alone",
                                           service),
                               text_format("PAMServiceName sshd")};
    else if (!stacks)
        *o = (struct obstacle){text_format("the PAM stack of sshd can't be read"),
                               text_format("correct what is said of it")};
    else
        return stack_hinders(stacks, o);
    return true;
}

/* Who has another shell may be an administrator, who must get in: pam_berth lets him be. */
static bool shell_hinders(const struct subject *s, struct obstacle *o)
{
    if (s->by_shell)
        return false;
    if (s->unmapped)
        *o = (struct obstacle){
            text_format("no section of berth.conf matches them, so " PAM_MODULE " lets them alone"),
            text_format("gpasswd -d USER " BERTH_GROUP)};
    else
        *o = (struct obstacle){text_format("their login shell isn't %s: " PAM_MODULE
                                           " lets them alone unless berth.conf can be read and has "
                                           "forwarding = container for them",
                                           BERTH_SHELL),
                               text_format("usermod -s %s USER", BERTH_SHELL)};
    return true;
}

/* NULL: they are let. */
static const char *shut_by(const struct subject *s)
{
    if (sshd_is(&s->sshd, "AllowTcpForwarding", "no"))
        return "AllowTcpForwarding is no";
    return sshd_is(&s->sshd, "DisableForwarding", "yes") ? "DisableForwarding is yes" : NULL;
}

static void add_shut(const struct subject *s, const char *shut, struct check *check)
{
    subject_add(check, s, .severity = FINDING_NOTE, .id = "sshd-tcp-shut",
                .what = text_format("forwarding = container, and sshd: %s", shut),
                .why = "sshd forwards nothing, so it has no effect",
                .mend = text_format("50-berth.conf.forwarding in place of 50-berth.conf (README)"));
}

static void add_hole(const struct subject *s, const char *why_not, const char *mend,
                     struct check *check)
{
    const char *value = sshd_get(&s->sshd, "AllowTcpForwarding", 0);

    subject_add(check, s, .severity = FINDING_HOLE, .id = "sshd-tcp-forwarding",
                .what = text_format("sshd: AllowTcpForwarding is %s, and %s",
                                    value ? value : "not told", why_not),
                .why = "forwarded connections start on this machine, past the container's network: "
                       "its own services on 127.0.0.1 included",
                .mend = text_format("AllowTcpForwarding no (in their Match block of sshd_config); "
                                    "or %s",
                                    mend));
}

/* pam_berth is there, and goes by the policy, and where that says nothing, by its
 * argument. */
static void look_at_argument(const struct subject *s, const struct stacks *stacks,
                             struct check *check)
{
    const struct stack *stack = &stacks->types[STACK_SESSION];
    size_t index;
    const struct stack_entry *berth = berth_line(stack, &index);
    cleanup_string char *lacks = text_format(
        "%s:%u: session " PAM_MODULE " lacks the argument " ARGUMENT, berth->file, berth->line);

    if (!lacks)
        check->findings.failed = true;
    else if (!s->policy || !s->policy->forwarding)
        add_hole(s, lacks, LINE, check);
    else
        subject_add(check, s, .severity = FINDING_PROBLEM, .id = "forwarding-argument",
                    .what = text_format("sshd: AllowTcpForwarding isn't no, and %s", lacks),
                    .why = "one lock of two: with forwarding = off in berth.conf their forwards "
                           "would end on this machine",
                    .mend = text_format(LINE));
}

/* Where they end. */
static void look_at_end(const struct subject *s, struct check *check)
{
    if (!s->policy || s->policy->deny)
        return;
    if (s->policy->forwarding && sshd_is(&s->sshd, "PermitOpen", "none") &&
        sshd_is(&s->sshd, "PermitListen", "none"))
        add_shut(s, "PermitOpen and PermitListen are none", check);
    else if (s->policy->forwarding)
        subject_add(check, s, .severity = FINDING_NOTE, .id = "forwarding-open",
                    .what = text_format("TCP is forwarded to and from the container"),
                    .why = "the client reaches all that listens in the container and what its "
                           "network reaches; what runs in it reaches what he forwards to it",
                    .mend = text_format("forwarding = container only for who needs it"));
    else
        subject_add(check, s, .severity = FINDING_NOTE, .id = "forwarding-nowhere",
                    .what = text_format("sshd lets them forward, and berth.conf has forwarding = "
                                        "off"),
                    .why = "pam_berth gives their sshd an empty network: their forwards end "
                           "nowhere",
                    .mend = text_format("forwarding = container for who is to forward"));
}

static void look_at_open(const struct subject *s, const struct stacks *stacks,
                         const struct obstacle *o, struct check *check)
{
    if (o->what && o->mend)
        add_hole(s, o->what, o->mend, check);
    else if (!has_argument(stacks))
        look_at_argument(s, stacks, check);
    else
        look_at_end(s, check);
}

static void look_at_shut(const struct subject *s, const char *shut, const struct stacks *stacks,
                         const struct obstacle *o, struct check *check)
{
    if (!s->policy || !s->policy->forwarding || s->policy->deny)
        return;
    add_shut(s, shut, check);
    /* A stack that can't be read refuses all logins as it is. */
    if (o->what && o->mend && stacks)
        subject_add(check, s, .severity = FINDING_PROBLEM, .id = "forwarding-no-pam",
                    .what = text_format("forwarding = container, and %s", o->what),
                    .why = "berth refuses the sessions of a connection that pam_berth hasn't taken "
                           "into the container's network",
                    .mend = text_format("%s; or forwarding = off", o->mend));
}

/* "passwd nis, group nis ldap". */
static char *foreign_modules(const char *text, const char *const databases[], bool *failed)
{
    cleanup_text struct text out = {0};

    for (const char *const *d = databases; *d; d++) {
        cleanup_strings struct strings modules = {0};
        if (nsswitch_find_foreign(&modules, text, *d) < 0)
            *failed = true;
        if (modules.count > 0)
            text_printf(&out, "%s%s", out.len > 0 ? ", " : "", *d);
        for (size_t i = 0; i < modules.count; i++)
            text_printf(&out, " %s", modules.items[i]);
    }
    *failed = *failed || out.failed;
    return out.len > 0 ? text_take(&out) : NULL;
}

/* What sshd and the helper look up once they are in another network. */
static void look_at_nss(const struct subject *s, struct check *check)
{
    static const char *const users[] = {"passwd", "group", "initgroups", "shadow", NULL};
    static const char *const hosts[] = {"hosts", NULL};
    cleanup_fd int fd = open(NSSWITCH, O_RDONLY | O_NOCTTY | O_CLOEXEC);
    size_t len;
    cleanup_string char *text = fd < 0 ? NULL : file_read_all(fd, NSSWITCH_MOST, &len);

    if (!text)
        return;
    cleanup_string char *of_users = foreign_modules(text, users, &check->findings.failed);
    cleanup_string char *of_hosts = foreign_modules(text, hosts, &check->findings.failed);
    if (of_users)
        subject_add(check, s, .severity = s->policy->forwarding ? FINDING_HOLE : FINDING_PROBLEM,
                    .id = "nss-network", .what = text_format(NSSWITCH ": %s", of_users),
                    .why = "pam_berth takes these logins out of this machine's network: a module "
                           "that connects to its server itself reaches none from there, or in a "
                           "container's network one of the container's making, which says what "
                           "groups the login has, and so what berth.conf gives it",
                    .mend = text_format("a module that asks by a unix socket: sss, winbind, "
                                        "systemd, or ldap of libnss-ldapd"));
    if (of_hosts && s->policy->forwarding)
        subject_add(check, s, .severity = FINDING_NOTE, .id = "nss-hosts",
                    .what = text_format(NSSWITCH ": %s", of_hosts),
                    .why = "sshd looks up the names that a client forwards to from the container's "
                           "network, by this machine's /etc/resolv.conf: a name server that isn't "
                           "reached from there tells none, and the engine's own isn't asked",
                    .mend = text_format("addresses in place of names, or the module resolve of "
                                        "systemd-resolved"));
}

/* Root asks it which process is a container's first. */
static void look_at_engine(const struct subject *s, struct check *check)
{
    const char *socket = s->policy->engine.socket;
    struct stat st;

    if (s->policy->forwarding && socket && stat(socket, &st) == 0 && st.st_uid != 0)
        subject_add(check, s, .severity = FINDING_PROBLEM, .id = "forwarding-engine",
                    .what = text_format("forwarding = container, and %s is uid %u's", socket,
                                        (unsigned)st.st_uid),
                    .why = "pam_berth goes by no other engine's word than root's: these logins are "
                           "refused",
                    .mend = text_format("an engine of root's; or forwarding = off"));
}

/* Their sshd leaves this machine's network, be forwarding open or shut. */
static void look_at_apart(const struct subject *s, struct check *check)
{
    const struct policy *p = s->policy;

    if (p->deny)
        return;
    look_at_nss(s, check);
    look_at_engine(s, check);
    if (!p->forwarding && p->engine.host)
        subject_add(check, s, .severity = FINDING_PROBLEM, .id = "forwarding-engine",
                    .what = text_format("session " PAM_MODULE " " ARGUMENT ", and the engine is %s",
                                        p->engine.endpoint),
                    .why = "pam_berth gives these logins an empty network, from which no engine "
                           "is reached over TCP: they fail",
                    .mend = text_format("session " PAM_MODULE " without the argument, and "
                                        "AllowTcpForwarding no for all; or an engine on this "
                                        "machine"));
}

void ports_look(const struct subject *s, const struct stacks *stacks, struct check *check)
{
    const char *shut = shut_by(s);
    struct obstacle o = {0};
    bool works = !module_hinders(s, stacks, &o);
    bool relied = works && (shut || !shell_hinders(s, &o));

    if (!relied && (!o.what || !o.mend))
        check->findings.failed = true;
    if (shut)
        look_at_shut(s, shut, stacks, &o, check);
    else
        look_at_open(s, stacks, &o, check);
    if (works && s->policy && (s->policy->forwarding || (s->by_shell && has_argument(stacks))))
        look_at_apart(s, check);
    obstacle_free(&o);
}
