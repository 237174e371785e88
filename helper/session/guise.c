#include "config.h"

#include "session/guise.h"

#include <errno.h>
#include <grp.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/fsuid.h>
#include <unistd.h>

int guise_take(struct guise *before, uid_t uid, gid_t gid, struct error **err)
{
    *before = (struct guise){.gid = (gid_t)setfsgid(gid)};
    before->uid = (uid_t)setfsuid(uid);
    return (uid_t)setfsuid((uid_t)-1) == uid
               ? 0
               : error_set(err, EPERM, "cannot act as uid %u", (unsigned)uid);
}

static int take_groups(struct guise *before, const gid_t *groups, size_t count)
{
    int own = getgroups(0, NULL);
    gid_t *kept = own >= 0 ? calloc((size_t)own + 1, sizeof *kept) : NULL;

    if (!kept || getgroups(own, kept) != own || setgroups(count, groups) < 0) {
        free(kept);
        return -1;
    }
    before->groups = kept;
    before->group_count = own;
    return 0;
}

int guise_take_login(struct guise *before, const struct account *account, const gid_t *groups,
                     size_t count, struct error **err)
{
    int rc = guise_take(before, account->uid, account->gid, err);
    if (rc == 0 && take_groups(before, groups, count) < 0)
        rc = error_set(err, errno, "cannot act as %s", account->name);
    return rc;
}

void guise_drop(struct guise *before)
{
    if (before->groups)
        (void)setgroups((size_t)before->group_count, before->groups);
    free(before->groups);
    before->groups = NULL;
    setfsuid(before->uid);
    setfsgid(before->gid);
}

int guise_for_engine(struct guise *before, const char *config, const struct policy *policy,
                     uid_t uid, gid_t gid, struct error **err)
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

    return shared ? guise_take(before, geteuid(), getegid(), err)
                  : guise_take(before, uid, gid, err);
}
