#include "config.h"

#include "check/modules.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SERVICE "sshd"

bool modules_read(struct stacks *stacks, struct check *check)
{
    cleanup_error struct error *err = NULL;

    if (stacks_read(stacks, check->pam_dir, SERVICE, &err) == 0)
        return true;
    check_add(check, FINDING_PROBLEM, "pam-unknown",
              text_format("the PAM stack of sshd can't be read: %s", error_text(err)),
              "PAM refuses all logins over such a line; no door of the stack was looked at",
              text_format("correct what is said of %s/" SERVICE ": pam.conf(5)", check->pam_dir));
    return false;
}

/* Where pam_berth has its turn; the stack's count where it hasn't. */
static size_t turn_of(const struct stack *stack)
{
    size_t at = stack_find(stack, PAM_MODULE, 0);

    return at < stack->count && !stack_skips(stack, at) ? at : stack->count;
}

bool modules_has_berth(const struct stacks *stacks, enum stack_type type)
{
    const struct stack *stack = &stacks->types[type];

    return turn_of(stack) < stack->count;
}

/* One of "docker,berth-secrets". */
static bool holds(const char *list, const char *group)
{
    size_t len = strlen(group);

    while (*list) {
        size_t word = strcspn(list, ",");
        if (word == len && strncmp(list, group, len) == 0)
            return true;
        list += word + (list[word] == ',');
    }
    return false;
}

const char *modules_granted(const struct stacks *stacks)
{
    const struct stack *stack = &stacks->types[STACK_AUTH];
    size_t at = turn_of(stack);

    return at < stack->count ? stack_argument(&stack->entries[at], "groups") : NULL;
}

bool modules_grants(const struct stacks *stacks, const char *group)
{
    const char *list = modules_granted(stacks);

    return list && holds(list, group);
}

static void look_at_absence(const struct stacks *stacks, struct check *check)
{
    static const enum stack_type types[] = {STACK_AUTH, STACK_ACCOUNT, STACK_SESSION};
    cleanup_text struct text missing = {0};

    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        const struct stack *stack = &stacks->types[types[i]];
        if (stack_find(stack, PAM_MODULE, 0) == stack->count)
            text_printf(&missing, "%s%s", missing.len ? ", " : "", stack_type_name(types[i]));
    }
    if (missing.len > 0)
        check_add(
            check, FINDING_PROBLEM, "pam-berth-missing",
            text_format("%s: no " PAM_MODULE " for %s", stacks->file, text_str(&missing)),
            "auth: it grants the engine's group to these logins alone; account: it refuses whom "
            "nothing maps; session: it clears variables that run code, and vouches for the name",
            text_format("auth required " PAM_MODULE
                        " groups=docker as the first auth line; account required " PAM_MODULE
                        "; session required " PAM_MODULE " as the last session line"));
}

/* pam_berth refuses its logins over an argument that it doesn't know. */
static bool is_known(const char *argument)
{
    return strcmp(argument, "debug") == 0 || strcmp(argument, "forwarding") == 0 ||
           strncmp(argument, "config=", 7) == 0 || strncmp(argument, "groups=", 7) == 0;
}

static void look_at_arguments(const struct stack_entry *e, enum stack_type type,
                              struct check *check)
{
    const char *config = stack_argument(e, "config");

    for (size_t i = 0; i < e->arguments.count; i++)
        if (!is_known(e->arguments.items[i]))
            check_add(check, FINDING_PROBLEM, "pam-berth-argument",
                      text_format("%s:%u: %s " PAM_MODULE " doesn't know %s", e->file, e->line,
                                  stack_type_name(type), e->arguments.items[i]),
                      "all logins with berth-shell are refused", text_format("man pam_berth"));
    if (strcmp(config ? config : BERTH_CONFIG, check->config) != 0)
        check_add(check, FINDING_PROBLEM, "pam-berth-config",
                  text_format("%s:%u: %s " PAM_MODULE " reads %s, not %s", e->file, e->line,
                              stack_type_name(type), config ? config : BERTH_CONFIG, check->config),
                  "whom it takes for mapped isn't who was looked at here",
                  text_format("config=%s", check->config));
}

/* It is there, and a module before it can keep it from its turn. */
static void look_at_place(const struct stacks *stacks, enum stack_type type, struct check *check)
{
    const struct stack *stack = &stacks->types[type];
    size_t at = stack_find(stack, PAM_MODULE, 0);
    const struct stack_entry *skips = at < stack->count ? stack_skips(stack, at) : NULL;

    if (skips)
        check_add(
            check, FINDING_PROBLEM, "pam-berth-skipped",
            text_format("%s:%u: %s %s %s passes over " PAM_MODULE " (%s:%u)", skips->file,
                        skips->line, stack_type_name(type), skips->control, skips->module,
                        stack->entries[at].file, stack->entries[at].line),
            "where that module says success, pam_berth has no turn",
            text_format("put the " PAM_MODULE " line before %s:%u", skips->file, skips->line));
    if (at < stack->count)
        look_at_arguments(&stack->entries[at], type, check);
    if (type == STACK_ACCOUNT && at < stack->count && !stack_entry_counts(&stack->entries[at]))
        check_add(check, FINDING_PROBLEM, "pam-berth-ignored",
                  text_format("%s:%u: account %s " PAM_MODULE, stack->entries[at].file,
                              stack->entries[at].line, stack->entries[at].control),
                  "its refusal of whom nothing maps doesn't count",
                  text_format("account required " PAM_MODULE));
}

/* These set no variables and start nothing of the user's. */
static bool may_follow(const char *module)
{
    static const char *const harmless[] = {
        "pam_selinux.so",  "pam_permit.so", "pam_deny.so",    "pam_motd.so", "pam_limits.so",
        "pam_loginuid.so", "pam_unix.so",   "pam_lastlog.so", PAM_MODULE,    NULL};

    for (const char *const *h = harmless; *h; h++)
        if (strcmp(module, *h) == 0)
            return true;
    return false;
}

static bool reads_users_file(const struct stack_entry *e)
{
    const char *value = e->module && strcmp(e->module, "pam_env.so") == 0
                            ? stack_argument(e, "user_readenv")
                            : NULL;

    return value && atoi(value) != 0;
}

static void look_at_last(const struct stacks *stacks, struct check *check)
{
    const struct stack *stack = &stacks->types[STACK_SESSION];

    for (size_t i = turn_of(stack) + 1; i < stack->count; i++) {
        const struct stack_entry *e = &stack->entries[i];
        /* Those have a finding of their own. */
        if (!e->module || may_follow(e->module) || reads_users_file(e))
            continue;
        check_add(
            check, FINDING_PROBLEM, "pam-berth-not-last",
            text_format("%s:%u: session %s comes after " PAM_MODULE, e->file, e->line, e->module),
            "what it puts into the session's variables isn't cleared any more",
            text_format("session required " PAM_MODULE " as the last session line"));
    }
}

/* pam_env with the user's own file. */
static void look_at_env(const struct stacks *stacks, struct check *check)
{
    static const enum stack_type types[] = {STACK_AUTH, STACK_SESSION};

    for (size_t t = 0; t < sizeof types / sizeof *types; t++) {
        const struct stack *stack = &stacks->types[types[t]];
        size_t berth = types[t] == STACK_SESSION ? turn_of(stack) : stack->count;
        for (size_t i = 0; i < stack->count; i++) {
            const struct stack_entry *e = &stack->entries[i];
            if (!reads_users_file(e) || (berth < stack->count && i < berth))
                continue;
            check_add(
                check, FINDING_HOLE, "pam-user-env",
                text_format("%s:%u: %s pam_env.so user_readenv=1%s", e->file, e->line,
                            stack_type_name(types[t]),
                            types[t] == STACK_AUTH ? "" : ", and no " PAM_MODULE " after it"),
                types[t] == STACK_AUTH
                    ? "~/.pam_environment sets LD_PRELOAD and the like for what sshd starts on "
                      "this machine; auth modules run again when session's have cleared it"
                    : "~/.pam_environment sets LD_PRELOAD, LD_AUDIT or BASH_FUNC_* for what sshd "
                      "starts on this machine",
                text_format(
                    "remove user_readenv=1 from %s:%u, or put \"session required " PAM_MODULE
                    "\" after it",
                    e->file, e->line));
        }
    }
}

static void look_at_sshrc(const struct stacks *stacks, struct check *check)
{
    bool cleared = modules_has_berth(stacks, STACK_SESSION);

    if (access(SSHRC, F_OK) == 0)
        check_add(
            check, cleared ? FINDING_NOTE : FINDING_PROBLEM, "sshrc",
            text_format("%s is there", SSHRC),
            "sshd runs it on this machine as the user, with his session's variables, before the "
            "forced command too",
            text_format("rm %s", SSHRC));
}

void modules_look(const struct stacks *stacks, struct check *check)
{
    look_at_absence(stacks, check);
    look_at_place(stacks, STACK_AUTH, check);
    look_at_place(stacks, STACK_ACCOUNT, check);
    look_at_place(stacks, STACK_SESSION, check);
    look_at_last(stacks, check);
    look_at_env(stacks, check);
    look_at_sshrc(stacks, check);
}

/* A unit that is a link to /dev/null is masked (systemd.unit(5)). */
static bool is_masked(uid_t uid)
{
    static const char *const folders[] = {"/etc/systemd/system", "/run/systemd/system"};
    char target[PATH_MAX];

    for (size_t i = 0; i < 4; i++) {
        cleanup_string char *path = i % 2 == 0 ? text_format("%s/user@.service", folders[i / 2])
                                               : text_format("%s/user@%u.service", folders[i / 2],
                                                             (unsigned)uid);
        ssize_t n = path ? readlink(path, target, sizeof target - 1) : -1;
        target[n > 0 ? n : 0] = '\0';
        if (strcmp(target, "/dev/null") == 0)
            return true;
    }
    return false;
}

static void look_at_systemd(const struct stacks *stacks, const struct subject *s,
                            struct check *check)
{
    const struct stack *stack = &stacks->types[STACK_SESSION];
    size_t at = stack_find(stack, "pam_systemd.so", 0);
    enum severity severity = s->mounts_home ? FINDING_PROBLEM : FINDING_NOTE;

    if (at == stack->count || !s->home_is_his || is_masked(s->person.account.uid))
        return;
    if (s->in_engine_group)
        severity = FINDING_HOLE;
    subject_add(
        check, s, .severity = severity, .id = "pam-systemd",
        .what = text_format("%s:%u: session pam_systemd.so, and a home directory that is "
                            "the user's to write%s",
                            stack->entries[at].file, stack->entries[at].line,
                            s->in_engine_group ? "; he is in the engine's group" : ""),
        .why = "systemd --user runs the units of ~/.config/systemd/user on this machine "
               "with each login",
        .mend = text_format("systemctl mask user@%u.service", (unsigned)s->person.account.uid));
}

static void look_at_name(const struct stacks *stacks, const struct subject *s, struct check *check)
{
    bool vouched = modules_has_berth(stacks, STACK_SESSION);

    if (s->twin)
        subject_add(
            check, s, .severity = vouched ? FINDING_NOTE : FINDING_PROBLEM, .id = "uid-shared",
            .what = text_format("uid %u has another name, %s", (unsigned)s->person.account.uid,
                                s->twin),
            .why = vouched ? "pam_berth vouches for the name; to the kernel they are one: what "
                             "one may signal or read, the other may"
                           : "nobody vouches for the name that logged in: these logins are "
                             "refused",
            .mend = text_format("%s", vouched ? "another uid for one of them, unless they are one "
                                                "person's"
                                              : "session required " PAM_MODULE));
}

static bool is_listed(const char *shell)
{
    const char *listed;
    bool found = false;

    setusershell();
    while (!found && (listed = getusershell()))
        found = strcmp(listed, shell) == 0;
    endusershell();
    return found;
}

/* pam_shells(8) refuses whose login shell isn't in shells(5). */
static void look_at_shells(const struct stacks *stacks, const struct subject *s,
                           struct check *check)
{
    static const enum stack_type types[] = {STACK_AUTH, STACK_ACCOUNT};

    for (size_t i = 0; s->by_shell && i < sizeof types / sizeof *types; i++) {
        const struct stack *stack = &stacks->types[types[i]];
        size_t at = stack_find(stack, "pam_shells.so", 0);
        if (at == stack->count || is_listed(s->person.shell))
            continue;
        subject_add(check, s, .severity = FINDING_PROBLEM, .id = "pam-shells",
                    .what = text_format("%s:%u: %s pam_shells.so, and %s is not in /etc/shells",
                                        stack->entries[at].file, stack->entries[at].line,
                                        stack_type_name(types[i]), s->person.shell),
                    .why = "these logins are refused",
                    .mend = text_format("take pam_shells.so out of sshd's stack (in /etc/shells "
                                        "the shell could be changed for another by chsh)"));
    }
}

void modules_look_for(const struct stacks *stacks, const struct subject *s, struct check *check)
{
    look_at_shells(stacks, s, check);
    look_at_systemd(stacks, s, check);
    look_at_name(stacks, s, check);
}
