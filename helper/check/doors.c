#include "config.h"

#include "check/doors.h"

#include "check/forwards.h"
#include "check/ports.h"

#include <string.h>
#include <unistd.h>

/* An option of sshd_config that must have one value. */
struct door {
    const char *option, *shut;
    enum severity severity;
    bool disabled; /* DisableForwarding shuts it too, in each release */
    const char *id, *why;
};

static const struct door doors[] = {
    {"AllowStreamLocalForwarding", "no", FINDING_HOLE, true, "sshd-streamlocal-forwarding",
     "a forwarded unix socket can be the engine's, which is root on this machine"},
    {"PermitTunnel", "no", FINDING_HOLE, false, "sshd-tunnel",
     "a tunnel is a network interface of this machine (DisableForwarding doesn't shut it)"},
    {"PermitUserRC", "no", FINDING_PROBLEM, false, "sshd-user-rc",
     "~/.ssh/rc runs on this machine where ForceCommand doesn't apply"},
    {"ChrootDirectory", "none", FINDING_PROBLEM, false, "sshd-chroot",
     "berth's programs aren't below it: these logins fail"},
    {"GatewayPorts", "no", FINDING_NOTE, true, "sshd-gateway-ports",
     "forwarded ports, should they be allowed, would be open to the network"},
};

static void look_at_door(const struct subject *s, struct check *check, const struct door *door)
{
    const char *value = sshd_get(&s->sshd, door->option, 0);

    if ((value && strcmp(value, door->shut) == 0) ||
        (door->disabled && sshd_is(&s->sshd, "disableforwarding", "yes")))
        return;
    subject_add(check, s, .severity = door->severity, .id = door->id,
                .what = text_format("sshd: %s is %s", door->option, value ? value : "not told"),
                .why = door->why,
                .mend = text_format("%s %s (in their Match block of sshd_config)", door->option,
                                    door->shut));
}

/* A variable that makes a program run other code: of the login shells only a static
 * one that clears them is immune, and what sshd itself starts isn't. */
static enum severity variable_severity(const struct subject *s)
{
    bool starts = access(SSHRC, F_OK) == 0 || !sshd_is(&s->sshd, "x11forwarding", "no");

    return s->by_shell && !starts ? FINDING_PROBLEM : FINDING_HOLE;
}

static void look_at_variables(const struct subject *s, struct check *check)
{
    const char *value = sshd_get(&s->sshd, "permituserenvironment", 0), *name;

    if (!value || (strcmp(value, "no") != 0 &&
                   (strcmp(value, "yes") == 0 || sshd_lets_through(value, &name))))
        subject_add(
            check, s, .severity = variable_severity(s), .id = "sshd-user-environment",
            .what = text_format("sshd: PermitUserEnvironment is %s", value ? value : "not told"),
            .why = "~/.ssh/environment and environment= in authorized_keys give the login "
                   "shell LD_PRELOAD and the like",
            .mend = text_format("PermitUserEnvironment no (no Match can set it)"));
    for (size_t i = 0; (value = sshd_get(&s->sshd, "acceptenv", i)); i++)
        if (sshd_lets_through(value, &name))
            subject_add(check, s, .severity = variable_severity(s), .id = "sshd-accept-env",
                        .what = text_format("sshd: AcceptEnv %s lets %s through", value, name),
                        .why = "the client's variables reach the login shell before berth does: "
                               "they can make it run other code",
                        .mend = text_format("AcceptEnv LANG LC_*"));
}

/* The last one of a name wins in the environment of the shell. */
static bool sets_variable(const struct subject *s, const char *variable)
{
    size_t len = strlen(variable);
    const char *value;

    for (size_t i = 0; (value = sshd_get(&s->sshd, "setenv", i)); i++) {
        value += *value == '"';
        if (strncmp(value, variable, len) == 0 && value[len] == '=')
            return strcmp(variable, "HOME") != 0 || !s->home_is_his ||
                   strcmp(value + len + 1, s->person.account.home) != 0;
    }
    return false;
}

/* What keeps bash, zsh, tcsh and fish from a home directory's files. */
static void look_at_setenv(const struct subject *s, struct check *check)
{
    static const char *const wanted[] = {"HOME", "LD_PRELOAD", "BASH_ENV", "SHLVL", NULL};
    cleanup_text struct text missing = {0};

    for (const char *const *w = wanted; *w; w++)
        if (!sets_variable(s, *w))
            text_printf(&missing, "%s%s", missing.len ? ", " : "", *w);
    if (missing.len == 0)
        return;
    enum severity severity = FINDING_NOTE;
    if (!s->by_shell)
        severity = s->home_is_his ? FINDING_HOLE : FINDING_PROBLEM;
    subject_add(check, s, .severity = severity, .id = "sshd-set-env",
                .what = text_format("sshd: no SetEnv of %s", text_str(&missing)),
                .why = s->by_shell ? "nothing but another login shell would need it"
                                   : "the login shell starts the forced command, and first runs "
                                     "what a home directory's .bashrc, .zshenv and the like say",
                .mend = text_format("SetEnv HOME=/nonexistent LD_PRELOAD= BASH_ENV= SHLVL=5 (one "
                                    "line: only the first SetEnv counts)"));
}

/* "exec PATH --config FILE": whether PATH is ours. *exec says whether the word is
 * there; *rest is what follows. */
static bool is_ours(const char *command, bool *exec, const char **rest)
{
    size_t len = strlen(BERTH_SESSION);

    command += strspn(command, " \t");
    *exec = strncmp(command, "exec", 4) == 0 && strchr(" \t", command[4]) && command[4];
    if (*exec)
        command += 4 + strspn(command + 4, " \t");
    if (strncmp(command, BERTH_SESSION, len) != 0 ||
        (command[len] != '\0' && !strchr(" \t", command[len])))
        return false;
    *rest = command + len + strspn(command + len, " \t");
    return true;
}

static bool same_config(const char *rest, const char *config)
{
    if (rest[0] == '\0')
        return strcmp(config, BERTH_CONFIG) == 0;
    if (strncmp(rest, "--config", 8) != 0 || !strchr("= \t", rest[8]))
        return false;
    rest += 9 + strspn(rest + 9, " \t");
    return strcmp(rest, config) == 0;
}

static void look_at_our_command(const struct subject *s, struct check *check)
{
    const char *command = sshd_get(&s->sshd, "forcecommand", 0), *rest;
    bool exec;

    if (!is_ours(command, &exec, &rest))
        return;
    if (!exec)
        subject_add(check, s, .severity = FINDING_NOTE, .id = "sshd-no-exec",
                    .what = text_format("sshd: ForceCommand %s lacks the \"exec\"", command),
                    .why = "a login shell that stays between keeps hang-ups and signals to itself",
                    .mend = text_format("ForceCommand exec %s", BERTH_SESSION));
    if (!same_config(rest, check->config))
        subject_add(
            check, s, .severity = FINDING_PROBLEM, .id = "sshd-other-config",
            .what = text_format("sshd: ForceCommand %s doesn't read %s", command, check->config),
            .why = "what was checked here isn't what these logins get",
            .mend = text_format("berth check --config FILE"));
    else if (rest[0] && s->by_shell)
        subject_add(check, s, .severity = FINDING_PROBLEM, .id = "sshd-command-options",
                    .what = text_format("sshd: ForceCommand %s has options", command),
                    .why = "berth-shell as login shell takes the bare command alone",
                    .mend = text_format("ForceCommand exec %s", BERTH_SESSION));
}

static const char *internal_sftp(const struct subject *s)
{
    const char *value;

    for (size_t i = 0; (value = sshd_get(&s->sshd, "subsystem", i)); i++) {
        const char *command = value + strcspn(value, " \t");
        command += strspn(command, " \t");
        if (sshd_is_internal_sftp(command))
            return value;
    }
    return NULL;
}

static void look_at_no_command(const struct subject *s, struct check *check)
{
    const char *subsystem = internal_sftp(s);

    if (subject_is_shut(s) && !subsystem)
        return;
    if (subsystem)
        subject_add(check, s, .severity = FINDING_HOLE, .id = "sshd-internal-sftp",
                    .what = text_format("sshd: Subsystem %s, and no ForceCommand", subsystem),
                    .why = "sshd itself serves this machine's files, whatever the login shell is",
                    .mend = text_format("ForceCommand exec %s, or Subsystem sftp "
                                        "/usr/lib/openssh/sftp-server",
                                        BERTH_SESSION));
    if (s->by_shell)
        subject_add(check, s, .severity = FINDING_NOTE, .id = "sshd-no-command",
                    .what = text_format("sshd: no ForceCommand; berth-shell alone has them in "
                                        "containers"),
                    .why = "one lock of two: should the login shell be changed, nothing is left",
                    .mend = text_format("ForceCommand exec %s", BERTH_SESSION));
    else
        subject_add(check, s, .severity = FINDING_HOLE, .id = "no-lock",
                    .what = text_format("neither ForceCommand is %s nor the login shell %s",
                                        BERTH_SESSION, BERTH_SHELL),
                    .why = "berth.conf maps them, and they get a shell of this machine",
                    .mend = text_format("usermod -aG berth -s %s USER; or let no section of "
                                        "berth.conf match whom it isn't meant for",
                                        BERTH_SHELL));
}

static void look_at_command(const struct subject *s, struct check *check)
{
    const char *command = sshd_get(&s->sshd, "forcecommand", 0);

    if (s->forced)
        look_at_our_command(s, check);
    else if (!s->ours)
        subject_add(check, s, .severity = FINDING_NOTE, .id = "not-berths",
                    .what = text_format("only a section for everybody maps them, and neither "
                                        "ForceCommand nor login shell is berth's"),
                    .why = "they log in on this machine as ever",
                    .mend = text_format("usermod -aG berth -s %s USER", BERTH_SHELL));
    else if (!command || strcmp(command, "none") == 0)
        look_at_no_command(s, check);
    else
        subject_add(check, s, .severity = FINDING_HOLE, .id = "sshd-other-command",
                    .what = text_format("sshd: ForceCommand is %s", command),
                    .why = "it runs on this machine in place of berth",
                    .mend = text_format("ForceCommand exec %s", BERTH_SESSION));
}

static void look_at_login(const struct subject *s, struct check *check)
{
    const char *command = sshd_get(&s->sshd, "authorizedkeyscommand", 0);

    if (!sshd_is(&s->sshd, "usepam", "yes"))
        subject_add(check, s, .severity = FINDING_PROBLEM, .id = "sshd-use-pam",
                    .what = text_format("sshd: UsePAM isn't yes"),
                    .why = "pam_berth never runs: nobody gets the engine's group from it, no "
                           "variable is cleared, no name vouched for",
                    .mend = text_format("UsePAM yes"));
    if (!sshd_is(&s->sshd, "exposeauthinfo", "yes"))
        subject_add(check, s, .severity = FINDING_NOTE, .id = "sshd-expose-auth-info",
                    .what = text_format("sshd: ExposeAuthInfo isn't yes"),
                    .why = "berth's log can't tell by which key a user came; sshd's own does",
                    .mend = text_format("ExposeAuthInfo yes"));
    if (command && strcmp(command, "none") != 0)
        subject_add(check, s, .severity = FINDING_NOTE, .id = "sshd-keys-command",
                    .what = text_format("sshd: AuthorizedKeysCommand %s", command),
                    .why = "it decides who these users are; what it prints must not be theirs to "
                           "choose",
                    .mend = text_format("AuthorizedKeysCommand none, where nothing needs it"));
}

bool doors_read(struct subject *s, struct check *check)
{
    cleanup_error struct error *err = NULL;
    const char *rest;
    bool exec;

    if (sshd_ask(&s->sshd, check->sshd_config, s->person.account.name, &err) < 0) {
        subject_add(check, s, .severity = FINDING_PROBLEM, .id = "sshd-unknown",
                    .what = text_format("sshd's settings can't be had: %s", error_text(err)),
                    .why = "no door of sshd's was looked at", .mend = text_format("sshd -t"));
        return false;
    }
    const char *command = sshd_get(&s->sshd, "forcecommand", 0);
    s->forced = command && is_ours(command, &exec, &rest);
    return true;
}

void doors_look(const struct subject *s, const struct stacks *stacks, struct check *check)
{
    look_at_command(s, check);
    /* Who is none of berth's keeps what the administrator gave him. */
    if (!s->forced && !s->by_shell)
        return;
    ports_look(s, stacks, check);
    for (size_t i = 0; i < sizeof doors / sizeof *doors; i++)
        look_at_door(s, check, &doors[i]);
    forwards_look(s, stacks, check);
    look_at_variables(s, check);
    look_at_setenv(s, check);
    look_at_login(s, check);
}
