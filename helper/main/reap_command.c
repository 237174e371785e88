#include "config.h"

#include "main/reap_command.h"

#include "base/text.h"
#include "main/bundle_command.h"
#include "main/command.h"
#include "policy/value.h"
#include "session/reap.h"

#include <json-c/json.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const char usage[] =
    "Usage: berth reap [--config FILE] [--user UID] [--dry-run] [--json]\n"
    "Removes the containers of all users that belong to no living session, and to no\n"
    "one that lingers or stands by; and has berth bundle copy an sftp-server that was\n"
    "upgraded. As root.\n"
    "\n"
    "  --config FILE  the configuration [" BERTH_CONFIG "]\n"
    "  --user UID     this user's alone, and none but those that have a lock file\n"
    "  --dry-run      only tell what it would remove\n"
    "  --json         an array of objects in place of lines\n"
    "  --help         this text\n"
    "\n"
    "Exit status: 0; 1 where something could not be done, said on stderr; 2 usage.\n"
    "See berth(8).\n";

/* What was found, for the last line and the exit status. */
struct tally {
    bool look;
    struct json_object *list; /* NULL: lines */
    unsigned removed, left;
    bool failed;
};

static void say(const char *what)
{
    command_say("reap", what);
}

static void on_failed(void *data, const char *what)
{
    struct tally *tally = data;

    tally->failed = true;
    say(what);
}

static void add_json(struct tally *tally, const struct reaped *reaped, const char *user)
{
    struct json_object *o = json_object_new_object();
    bool removed = !reaped->failure && !tally->look;

    json_object_object_add(o, "container", json_object_new_string(reaped->container));
    json_object_object_add(o, "uid", json_object_new_int64(reaped->uid));
    json_object_object_add(o, "user", reaped->user ? json_object_new_string(user) : NULL);
    json_object_object_add(o, "reason", json_object_new_string(reaped->why));
    json_object_object_add(o, "removed", json_object_new_boolean(removed));
    json_object_array_add(tally->list, o);
}

static void on_container(void *data, const struct reaped *reaped)
{
    struct tally *tally = data;
    cleanup_text struct text user = {0}, line = {0};

    if (reaped->user)
        text_display(&user, reaped->user, 200);
    else
        text_printf(&user, "uid %u", (unsigned)reaped->uid);
    if (reaped->failure) {
        text_printf(&line, "%s (%s): left: %s", reaped->container, text_str(&user),
                    reaped->failure);
        on_failed(tally, text_str(&line));
    }
    if (reaped->failure || tally->look)
        tally->left++;
    else
        tally->removed++;
    if (tally->list)
        add_json(tally, reaped, text_str(&user));
    else if (!reaped->failure)
        printf("%s (%s): %s\n", reaped->container, text_str(&user), reaped->why);
}

static int finish(struct tally *tally)
{
    if (tally->list)
        command_print_json(tally->list);
    else
        printf("%u removed, %u left\n", tally->removed, tally->left);
    return command_finish("reap", tally->failed ? 1 : 0);
}

/* It comes with the same timer: whoever upgrades the host's OpenSSH or libc thinks of
 * neither. */
static void refresh_bundle(struct tally *tally)
{
    cleanup_error struct error *err = NULL;

    if (bundle_refresh(&err) < 0)
        on_failed(tally, error_text(err));
}

static int run(const struct reap_task *wanted, bool json)
{
    struct reap_task task = *wanted;
    struct tally tally = {.look = task.look};
    const struct reap_report report = {
        .container = on_container, .failed = on_failed, .data = &tally};
    cleanup_error struct error *err = NULL;

    if (geteuid() != 0) {
        say("must be run as root: it removes containers of all users");
        return 1;
    }
    cleanup_nss struct nss nss = nss_open();
    task.nss = &nss;
    if (json)
        tally.list = json_object_new_array();
    if (!task.look && !task.one)
        refresh_bundle(&tally);
    if (reap_run(&task, &report, &err) == 0)
        return finish(&tally);
    say(error_text(err));
    json_object_put(tally.list);
    return 1;
}

static bool uid_read(const char *text, uid_t *uid)
{
    long long number;

    if (!value_decimal(text, strlen(text), UINT32_MAX - 1, &number))
        return false;
    *uid = (uid_t)number;
    return true;
}

int reap_command(int argc, char **argv)
{
    static const struct command_usage how = {.command = "reap", .help = usage};
    struct reap_task task = {.config = BERTH_CONFIG};
    const char *user = NULL;
    bool json = false;
    const struct command_option options[] = {{"config", .value = &task.config},
                                             {"user", .value = &user},
                                             {"dry-run", .flag = &task.look},
                                             {"json", .flag = &json},
                                             {.name = NULL}};
    int status;

    if (!command_options(&how, options, argc, argv, &status))
        return status;
    task.one = user != NULL;
    if (user && !uid_read(user, &task.uid)) {
        say("--user takes a uid, a number");
        return 2;
    }
    return run(&task, json);
}
