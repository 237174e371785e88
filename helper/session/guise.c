#include "config.h"

#include "session/guise.h"

#include <errno.h>
#include <pwd.h>
#include <stdbool.h>
#include <string.h>
#include <sys/fsuid.h>
#include <unistd.h>

int guise_take(struct guise *before, uid_t uid, struct error **err)
{
    const struct passwd *account = getpwuid(uid);

    before->gid = (gid_t)setfsgid(account ? account->pw_gid : (gid_t)uid);
    before->uid = (uid_t)setfsuid(uid);
    return (uid_t)setfsuid((uid_t)-1) == uid
               ? 0
               : error_set(err, EPERM, "cannot act as uid %u", (unsigned)uid);
}

void guise_drop(const struct guise *before)
{
    setfsuid(before->uid);
    setfsgid(before->gid);
}

int guise_for_engine(struct guise *before, const char *config, const struct policy *policy,
                     uid_t uid, struct error **err)
{
    static char name[] = "root", home[] = "/root";
    const struct account root = {.name = name, .home = home};
    cleanup_error struct error *ignored = NULL;
    const char *socket = policy->engine.socket;
    bool each;
    /* Something else may be each user's own, as registry_config. */
    cleanup_policy struct policy *roots = policy_load_engine(config, &root, &each, &ignored);
    bool shared = !socket ||
                  (roots && roots->engine.socket && strcmp(roots->engine.socket, socket) == 0);

    return guise_take(before, shared ? geteuid() : uid, err);
}
