#include "config.h"

#include "session/command.h"

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

static const char script_login[] = "exec \"$berth_s\" -l\n";

/* Argument COMMAND. */
static const char script_exec[] = "exec \"$berth_s\" -c \"$1\"\n";

/* Argument COMMAND in printf's %b form. The dot keeps trailing newlines. */
static const char script_exec_escaped[] = "berth_x=$(printf %b. \"$1\")\n"
                                          "exec \"$berth_s\" -c \"${berth_x%.}\"\n";

/* Arguments COMPLAINT COUNT, then COUNT paths, then sftp-server's own arguments. */
static const char script_sftp[] = "berth_i=$1 berth_n=$2 berth_f=\n"
                                  "shift 2\n"
                                  "while [ \"$berth_n\" -gt 0 ]; do\n"
                                  "  [ -n \"$berth_f\" ] || [ ! -x \"$1\" ] || berth_f=$1\n"
                                  "  berth_n=$((berth_n - 1))\n"
                                  "  shift\n"
                                  "done\n"
                                  "[ -z \"$berth_f\" ] || exec \"$berth_f\" \"$@\"\n"
                                  "printf 'berth: %s\\n' \"$berth_i\" >&2\n"
                                  "exit 1\n";

/* Debian, Arch and Alpine, Fedora, SUSE, BSD-like, Gentoo. */
static const char *const sftp_paths[] = {
    "/usr/lib/openssh/sftp-server", "/usr/lib/ssh/sftp-server", "/usr/libexec/openssh/sftp-server",
    "/usr/libexec/ssh/sftp-server", "/usr/libexec/sftp-server", "/usr/lib/misc/sftp-server",
};

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

/* Subsystem lines may carry arguments ("internal-sftp -u 0022 -R"). */
static int add_words(struct strings *argv, const char *s)
{
    for (s += strspn(s, " \t"); *s; s += strspn(s, " \t")) {
        size_t len = strcspn(s, " \t");
        if (strings_take(argv, strndup(s, len)) < 0)
            return -1;
        s += len;
    }
    return 0;
}

int command_sftp_programs(struct strings *programs, const struct policy *policy)
{
    if (policy->sftp)
        return strings_add(programs, policy->sftp);
    for (size_t i = 0; i < sizeof sftp_paths / sizeof *sftp_paths; i++)
        if (strings_add(programs, sftp_paths[i]) < 0)
            return -1;
    return 0;
}

int command_sftp_arguments(struct strings *argv, const struct request *request)
{
    const char *asked = request->command ? request->command : "";

    return add_words(argv, asked + strcspn(asked, " \t"));
}

char *command_sftp_missing(const struct policy *policy)
{
    static const char cure[] = "install one in it, or name the one it has in berth.conf: "
                               "sftp = \"image:/path\"";

    if (policy->sftp)
        return text_format("image %s has no sftp-server at %s: %s", policy->image, policy->sftp,
                           cure);
    return text_format("image %s has no sftp-server: %s", policy->image, cure);
}

static int make_sftp(struct strings *argv, const struct policy *policy,
                     const struct request *request)
{
    static const char *const pieces[] = {script_sftp, NULL};
    cleanup_strings struct strings programs = {0};
    int rc = add_script(argv, pieces);

    if (rc == 0)
        rc = strings_take(argv, command_sftp_missing(policy));
    if (rc == 0)
        rc = command_sftp_programs(&programs, policy);
    if (rc == 0)
        rc = add_number(argv, (unsigned)programs.count);
    for (size_t i = 0; rc == 0 && i < programs.count; i++)
        rc = strings_add(argv, programs.items[i]);
    return rc == 0 ? command_sftp_arguments(argv, request) : rc;
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
                         const struct winsize *size, bool escaped)
{
    const char *pieces[4];
    size_t count = 0;
    char *user = strndup(policy->user, strcspn(policy->user, ":"));

    if (size)
        pieces[count++] = script_size;
    pieces[count++] = policy->shell ? script_given : script_auto;
    if (!command)
        pieces[count++] = script_login;
    else
        pieces[count++] = escaped ? script_exec_escaped : script_exec;
    pieces[count] = NULL;
    int rc = add_script(argv, pieces);
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
                 const struct winsize *size, struct error **err)
{
    const char *command = policy->force_command ? policy->force_command : request->command;
    bool escaped = command && !utf8_valid(command, strlen(command));
    int rc;

    if (request->kind == REQUEST_SFTP && !policy->force_command)
        rc = make_sftp(argv, policy, request);
    else if (policy->shell && !size && !escaped)
        rc = make_plain(argv, policy->shell, command);
    else
        rc = make_scripted(argv, policy, command, size, escaped);
    if (rc < 0)
        return error_set(err, ENOMEM, "command");
    for (size_t i = 0; i < argv->count; i++)
        if (strlen(argv->items[i]) > ARGUMENT_MAX)
            return error_set(err, 0,
                             "the command needs %zu bytes on its way into the container, "
                             "%d are possible: put it into a file, or send it as stdin of a shell",
                             strlen(argv->items[i]), ARGUMENT_MAX);
    return 0;
}
