#include "config.h"

#include "policy/groups.h"

#include <errno.h>
#include <grp.h>
#include <stdlib.h>

/* As many as the kernel takes for a process (credentials(7)). */
enum { GROUPS_FIRST = 64, GROUPS_MOST = 65536 };

/* The caller frees *gids. Their number, or -1. */
static int ask_gids(const struct account *account, gid_t **gids, struct error **err)
{
    int room = GROUPS_FIRST;

    *gids = NULL;
    for (;;) {
        int count = room;
        gid_t *bigger = reallocarray(*gids, (size_t)room, sizeof **gids);
        if (!bigger) {
            error_set(err, ENOMEM, "groups of %s", account->name);
            return -1;
        }
        *gids = bigger;
        if (getgrouplist(account->name, account->gid, *gids, &count) >= 0)
            return count;
        if (room >= GROUPS_MOST) {
            error_set(err, 0, "%s is in more than %d groups", account->name, GROUPS_MOST);
            return -1;
        }
        room = count > room && count < GROUPS_MOST ? count : GROUPS_MOST;
    }
}

int groups_of(const struct account *account, struct strings *groups, struct error **err)
{
    gid_t *gids;
    int count = ask_gids(account, &gids, err), rc = count < 0 ? -1 : 0;

    for (int i = 0; rc == 0 && i < count; i++) {
        errno = 0;
        const struct group *group = getgrgid(gids[i]);
        /* 0 is glibc's "there is none". All else, nslcd's ENOENT too, is a directory that
         * can't be asked; getgrouplist(3) itself keeps silent about that. */
        if (!group && errno != 0)
            rc = error_set(err, 0,
                           "name of group %u: the directory that has it (NSS) doesn't answer",
                           (unsigned)gids[i]);
        else if (group && strings_add(groups, group->gr_name) < 0)
            rc = error_set(err, ENOMEM, "groups of %s", account->name);
    }
    free(gids);
    return rc;
}
