#include "config.h"

#include "channel/exec_script.h"

/* POSIX: dash, busybox, bash. An exec's process leads a session (runc(8) calls
 * setsid for it), so its pid is the session's and the process group's. */

/* An end of stdin means that whoever asked is gone: nothing was run then. The umask is the
 * engine's own where an exec has no other, and a newer dockerd's is 0. */
static const char script_start[] = "echo $$\n"
                                   "IFS= read -r berth_go || exit 255\n"
                                   "unset berth_go\n"
                                   "umask 022\n"
                                   "exec \"$@\"\n";

/* Arguments SIGNAL LEADER. */
static const char script_signal[] = "kill -\"$1\" -\"$2\"\n";

/* Arguments LEADER GRACE. The fourth field behind the last ')' of
 * /proc/PID/stat is the session (proc(5)); what stands before may be anything, with
 * newlines too. */
static const char script_hang_up[] =
    "exec 2>/dev/null\n"
    "sid=$1 left=$2\n"
    "members() {\n"
    "  found=\n"
    "  for d in /proc/[0-9]*; do\n"
    "    s=\n"
    "    while IFS= read -r l || [ -n \"$l\" ]; do s=\"$s $l\"; done <\"$d/stat\" || continue\n"
    "    set -f; set -- ${s##*) }; set +f\n"
    "    [ \"$4\" = \"$sid\" ] && [ \"$1\" != Z ] && found=\"$found ${d#/proc/}\"\n"
    "  done\n"
    "  [ -n \"$found\" ]\n"
    "}\n"
    "members && kill -1 $found && kill -18 $found\n"
    "while [ \"$left\" -gt 0 ] && members; do\n"
    "  sleep 1 || left=1\n"
    "  left=$((left - 1))\n"
    "done\n"
    "rounds=100\n"
    "while [ $rounds -gt 0 ] && members; do kill -9 $found; rounds=$((rounds - 1)); done\n"
    "echo\n";

static int add_shell(struct strings *argv, const char *script)
{
    if (strings_add(argv, "/bin/sh") < 0 || strings_add(argv, "-c") < 0 ||
        strings_add(argv, script) < 0)
        return -1;
    return strings_add(argv, "sh");
}

static int add_number(struct strings *argv, long long number)
{
    return strings_take(argv, text_format("%lld", number));
}

int exec_script_start(struct strings *argv, const struct strings *command)
{
    int rc = add_shell(argv, script_start);

    for (size_t i = 0; rc == 0 && i < command->count; i++)
        rc = strings_add(argv, command->items[i]);
    return rc;
}

int exec_script_signal(struct strings *argv, pid_t leader, int signal)
{
    if (add_shell(argv, script_signal) < 0 || add_number(argv, signal) < 0)
        return -1;
    return add_number(argv, leader);
}

int exec_script_hang_up(struct strings *argv, pid_t leader, long long grace)
{
    if (add_shell(argv, script_hang_up) < 0 || add_number(argv, leader) < 0)
        return -1;
    return add_number(argv, grace);
}
