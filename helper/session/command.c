#include "config.h"

#include "session/command.h"

#include "session/sftp.h"
#include "session/sftp_arguments.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* Pieces of a script for the image's /bin/sh (POSIX: dash, busybox, bash). What
 * the client or the administrator said goes in as arguments, never as script.
 * Names start with berth_, so that no variable of the session is touched. */

/* Arguments ROWS COLS. The first `stty size` is right: a resize after the start
 * comes too late for it, whenever it comes. */
static const char script_size[] = "stty rows \"$1\" cols \"$2\" 2>/dev/null\n"
                                  "shift 2\n";

/* Argument USER, a number or a name. As login(1): what the image's passwd says,
 * but an account that can't log in there is only a number's owner. */
static const char script_auto[] =
    "berth_s=\n"
    "if [ -r /etc/passwd ]; then\n"
    "  while IFS=: read -r berth_n berth_p berth_u berth_g berth_c berth_h berth_s ||\n"
    "        [ -n \"$berth_n\" ]; do\n"
    "    if [ \"$berth_u\" = \"$1\" ] || [ \"$berth_n\" = \"$1\" ]; then break; fi\n"
    "    berth_s=\n"
    "  done </etc/passwd\n"
    "fi\n"
    "case $berth_s in */nologin|*/false) berth_s= ;; esac\n"
    "[ -x \"$berth_s\" ] || berth_s=/bin/bash\n"
    "[ -x \"$berth_s\" ] || berth_s=/bin/sh\n"
    "export SHELL=\"$berth_s\"\n"
    "shift\n";

/* Argument SHELL. */
static const char script_given[] = "berth_s=$1\n"
                                   "shift\n";

/* Where neither berth.conf nor the image says where. */
static const char script_home[] = "[ \"$PWD\" != / ] || cd \"$HOME\" 2>/dev/null\n"
                                  "unset OLDPWD\n";

/* The terminal's own name; an image without tty(1) has none to tell. */
static const char script_terminal[] = "SSH_TTY=$(tty 2>/dev/null) && export SSH_TTY ||\n"
                                      "  unset SSH_TTY\n";

static const char script_login[] = "exec \"$berth_s\" -l\n";

/* Argument COMMAND. */
static const char script_exec[] = "exec \"$berth_s\" -c \"$1\"\n";

/* Argument COMMAND in printf's %b form. The dot keeps trailing newlines. */
static const char script_exec_escaped[] = "berth_x=$(printf %b. \"$1\")\n"
                                          "exec \"$berth_s\" -c \"${berth_x%.}\"\n";

/* Argument MASK. */
static const char script_umask[] = "umask \"$1\"\n"
                                   "shift\n";

/* Arguments COMPLAINT, COUNT and so many words that run the bundled one, COUNT and so many
 * paths, then sftp-server's own arguments. */
static const char script_sftp[] = "berth_i=$1 berth_n=$2\n"
                                  "shift 2\n"
                                  "if [ \"$berth_n\" -gt 0 ] && [ -x \"$1\" ]; then\n"
                                  "  berth_f=$(($# - berth_n))\n"
                                  "  while [ \"$berth_n\" -gt 0 ]; do\n"
                                  "    set -- \"$@\" \"$1\"\n"
                                  "    berth_n=$((berth_n - 1))\n"
                                  "    shift\n"
                                  "  done\n"
                                  "  shift \"$berth_f\"\n"
                                  "  exec \"$@\"\n"
                                  "fi\n"
                                  "shift \"$berth_n\"\n"
                                  "berth_n=$1 berth_f=\n"
                                  "shift\n"
                                  "while [ \"$berth_n\" -gt 0 ]; do\n"
                                  "  [ -n \"$berth_f\" ] || [ ! -x \"$1\" ] || berth_f=$1\n"
                                  "  berth_n=$((berth_n - 1))\n"
                                  "  shift\n"
                                  "done\n"
                                  "[ -z \"$berth_f\" ] || exec \"$berth_f\" \"$@\"\n"
                                  "printf 'berth: %s\\n' \"$berth_i\" >&2\n"
                                  "exit 1\n";

static int add_script(struct strings *argv, const char *const *pieces)
{
    struct text script = {0};

    for (; *pieces; pieces++)
        text_puts(&script, *pieces);
    if (strings_add(argv, "/bin/sh") < 0 || strings_add(argv, "-c") < 0) {
        text_free(&script);
        return -1;
    }
    return strings_take(argv, text_take(&script)) < 0 ? -1 : strings_add(argv, "sh");
}

static int add_number(struct strings *argv, unsigned number)
{
    return strings_take(argv, text_format("%u", number));
}

static int add_all(struct strings *argv, const struct strings *more)
{
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < more->count; i++)
        rc = strings_add(argv, more->items[i]);
    return rc;
}

static int add_counted(struct strings *argv, const struct strings *more)
{
    int rc = add_number(argv, (unsigned)more->count);

    return rc == 0 ? add_all(argv, more) : rc;
}

/* The image's own, and before it the bundled one where it is there. */
static int add_sftp_script(struct strings *argv, const struct policy *policy,
                           const struct strings *bundled, const struct strings *arguments,
                           bool bundle)
{
    static const char *const pieces[] = {script_sftp, NULL};
    cleanup_strings struct strings programs = {0};
    int rc = add_script(argv, pieces);

    if (rc == 0)
        rc = strings_take(argv, sftp_missing(policy, bundle));
    if (rc == 0)
        rc = add_counted(argv, bundled);
    if (rc == 0)
        rc = sftp_images(&programs, policy);
    if (rc == 0)
        rc = add_counted(argv, &programs);
    return rc == 0 ? add_all(argv, arguments) : rc;
}

static int make_sftp(struct strings *argv, const struct policy *policy,
                     const struct request *request, const struct command_context *context)
{
    cleanup_strings struct strings bundled = {0}, arguments = {0};
    bool logged = sftp_is_logged(policy, request, context->bundle);

    if (sftp_bundled(&bundled, policy, context->bundle) < 0 ||
        sftp_arguments(&arguments, policy, request->command, logged) < 0)
        return -1;
    bool is_bundled = bundled.count > 0;
    if (is_bundled && add_all(&bundled, &arguments) < 0)
        return -1;
    if (is_bundled && context->sure)
        return add_all(argv, &bundled);
    return add_sftp_script(argv, policy, &bundled, &arguments, context->bundle);
}

/* `%b` undoes it: "\0ooo" for what JSON can't carry as it is. */
static char *escape_command(const char *command)
{
    struct text out = {0};

    for (const unsigned char *p = (const unsigned char *)command; *p; p++) {
        if (*p >= 0x80 || *p == '\\')
            text_printf(&out, "\\0%03o", *p);
        else
            text_add(&out, (const char *)p, 1);
    }
    return text_take(&out);
}

/* Without a script where none is needed: an image with a static shell and
 * nothing else then works. */
static int make_plain(struct strings *argv, const char *shell, const char *command)
{
    int rc = strings_add(argv, shell);

    if (rc == 0)
        rc = strings_add(argv, command ? "-c" : "-l");
    return rc == 0 && command ? strings_add(argv, command) : rc;
}

static int make_scripted(struct strings *argv, const struct policy *policy, const char *command,
                         const struct winsize *size, bool tty, bool escaped)
{
    const char *pieces[7];
    size_t count = 0;
    char *user = strndup(policy->user, strcspn(policy->user, ":"));

    if (policy->umask != DEFAULT_UMASK)
        pieces[count++] = script_umask;
    if (size)
        pieces[count++] = script_size;
    if (policy->home_at && !policy->workdir)
        pieces[count++] = script_home;
    if (tty)
        pieces[count++] = script_terminal;
    pieces[count++] = policy->shell ? script_given : script_auto;
    if (!command)
        pieces[count++] = script_login;
    else
        pieces[count++] = escaped ? script_exec_escaped : script_exec;
    pieces[count] = NULL;
    int rc = add_script(argv, pieces);
    if (rc == 0 && policy->umask != DEFAULT_UMASK)
        rc = strings_take(argv, text_format("%04o", policy->umask));
    if (rc == 0 && size)
        rc = add_number(argv, size->ws_row);
    if (rc == 0 && size)
        rc = add_number(argv, size->ws_col);
    if (policy->shell) {
        free_string(&user);
        user = strdup(policy->shell);
    }
    if (rc == 0)
        rc = strings_take(argv, user);
    else
        free_string(&user);
    if (rc == 0 && command)
        rc = strings_take(argv, escaped ? escape_command(command) : strdup(command));
    return rc;
}

int command_make(struct strings *argv, const struct policy *policy, const struct request *request,
                 const struct command_context *context, struct error **err)
{
    const char *command = policy->force_command ? policy->force_command : request->command;
    bool escaped = command && !utf8_valid(command, strlen(command));
    bool script = !policy->shell || context->size || escaped || policy->umask != DEFAULT_UMASK;
    int rc;

    if (sftp_is_served(policy, request))
        rc = make_sftp(argv, policy, request, context);
    else if (!script)
        rc = make_plain(argv, policy->shell, command);
    else
        rc = make_scripted(argv, policy, command, context->size, request->tty, escaped);
    if (rc < 0)
        return error_set(err, ENOMEM, "command");
    for (size_t i = 0; i < argv->count; i++) {
        if (strlen(argv->items[i]) > ARGUMENT_MAX)
            return error_set(err, 0,
                             "the command needs %zu bytes on its way into the container, "
                             "%d are possible: put it into a file, or send it as stdin of a shell",
                             strlen(argv->items[i]), ARGUMENT_MAX);
        if (!utf8_valid(argv->items[i], strlen(argv->items[i])))
            return error_set(err, 0,
                             "the command's arguments are not UTF-8, and the engine takes no "
                             "others");
    }
    return 0;
}
