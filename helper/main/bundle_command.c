#include "config.h"

#include "main/bundle_command.h"

#include "bundle/bundle.h"
#include "main/command.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define NAME   "bundle"
#define FOLDER BERTH_LIBEXECDIR "/guest"

static const char usage[] =
    "Usage: berth bundle [--sftp-server FILE]\n"
    "Copies this machine's sftp-server, with its loader and libraries, to where containers\n"
    "run it (sftp = bundled in berth.conf), unless the copy that is there is of these very\n"
    "files. berth reap does the same when they were upgraded. As root.\n"
    "\n"
    "  --sftp-server FILE  this one, in place of the one found at the usual places\n"
    "  --help              this text\n"
    "\n"
    "Exit status: 0; 1 where it could not be done, said on stderr; 2 usage.\n"
    "See berth(8).\n";

static int look(struct bundle *bundle, struct error **err)
{
    int rc = bundle_look(bundle, FOLDER, err);

    if (rc < 0)
        bundle_free(bundle);
    return rc;
}

/* One that was moved by an upgrade is looked for. */
static const char *server_of(const struct bundle *bundle)
{
    return bundle->server && access(bundle->server, X_OK) == 0 ? bundle->server : NULL;
}

int bundle_refresh(struct error **err)
{
    struct bundle bundle;

    if (look(&bundle, err) < 0)
        return -1;
    int rc = 0;
    if (bundle.state == BUNDLE_STALE)
        rc = bundle_make(FOLDER, server_of(&bundle), err) < 0 ? -1 : 1;
    bundle_free(&bundle);
    return rc < 0 ? error_wrap(err, "sftp bundle") : rc;
}

static bool is_of(const struct bundle *bundle, const char *server)
{
    char wanted[PATH_MAX];

    return bundle->state == BUNDLE_CURRENT && realpath(server, wanted) &&
           strcmp(bundle->server, wanted) == 0;
}

static int run(const char *server, struct error **err)
{
    struct bundle bundle;
    const char *wanted = server ? server : bundle_host_server();

    if (look(&bundle, err) < 0)
        return -1;
    bool done = wanted && is_of(&bundle, wanted);
    bundle_free(&bundle);
    if (!done && bundle_make(FOLDER, wanted, err) < 0)
        return -1;
    printf("%s: %s\n", wanted, done ? "is there already, of these very files" : "copied");
    return 0;
}

int bundle_command(int argc, char **argv)
{
    static const struct command_usage how = {.command = NAME, .help = usage};
    cleanup_error struct error *err = NULL;
    const char *server = NULL;
    const struct command_option options[] = {{"sftp-server", .value = &server}, {.name = NULL}};
    int status;

    if (!command_options(&how, options, argc, argv, &status))
        return status;
    if (server && server[0] != '/') {
        command_say(NAME, "--sftp-server takes an absolute path");
        return 2;
    }
    if (run(server, &err) == 0)
        return command_finish(NAME, 0);
    command_say(NAME, error_text(err));
    return 1;
}
