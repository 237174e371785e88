#include "config.h"

#include "policy/groups.h"

#include <errno.h>
#include <fnmatch.h>
#include <grp.h>
#include <limits.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* As many as the kernel takes for a process (credentials(7)). */
enum { GROUPS_FIRST = 64, GROUPS_MOST = 65536 };

int groups_ids(const struct account *account, gid_t **gids, struct error **err)
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

/* The group's entry, or NULL where it has none; -1: NSS can't tell. 0 is glibc's "there
 * is none". All else, nslcd's ENOENT too, is a directory that can't be asked;
 * getgrouplist(3) itself keeps silent about that. */
static int entry_of(gid_t gid, const struct group **group, struct error **err)
{
    errno = 0;
    *group = getgrgid(gid);
    if (*group || errno == 0)
        return 0;
    return error_set(err, 0, "name of group %u: the directory that has it (NSS) doesn't answer",
                     (unsigned)gid);
}

int groups_of(const struct account *account, struct strings *groups, struct error **err)
{
    gid_t *gids;
    int count = groups_ids(account, &gids, err), rc = count < 0 ? -1 : 0;

    for (int i = 0; rc == 0 && i < count; i++) {
        const struct group *group;
        rc = entry_of(gids[i], &group, err);
        if (rc == 0 && group && strings_add(groups, group->gr_name) < 0)
            rc = error_set(err, ENOMEM, "groups of %s", account->name);
    }
    free(gids);
    return rc;
}

static bool is_number(const char *s)
{
    return s[strspn(s, "0123456789")] == '\0';
}

static bool is_wanted(const struct strings *patterns, const char *name)
{
    for (size_t i = 0; i < patterns->count; i++)
        if (!is_number(patterns->items[i]) && fnmatch(patterns->items[i], name, 0) == 0)
            return true;
    return false;
}

static int pick(struct strings *picked, unsigned gid, const char *name)
{
    return strings_take(picked, text_format("%u:%s", gid, name));
}

/* Root's is the container's own, and the engine starts nothing with one above (runc). */
static bool may_be_added(gid_t gid)
{
    return gid > 0 && gid <= INT_MAX;
}

static int pick_own(const struct account *account, const struct strings *patterns,
                    struct strings *picked, struct error **err)
{
    gid_t *gids;
    int count = groups_ids(account, &gids, err), rc = count < 0 ? -1 : 0;

    for (int i = 0; rc == 0 && i < count; i++) {
        const struct group *group;
        if (!may_be_added(gids[i]))
            continue;
        rc = entry_of(gids[i], &group, err);
        if (rc < 0 || !group || !is_wanted(patterns, group->gr_name))
            continue;
        if (pick(picked, gids[i], group->gr_name) < 0)
            rc = error_set(err, ENOMEM, "groups of %s", account->name);
    }
    free(gids);
    return rc;
}

int groups_pick(const struct account *account, const struct strings *patterns,
                struct strings *picked, struct error **err)
{
    bool own = false;
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < patterns->count; i++) {
        const char *pattern = patterns->items[i];
        own = own || !is_number(pattern);
        if (is_number(pattern))
            rc = pick(picked, (unsigned)strtoul(pattern, NULL, 10), "");
    }
    if (rc < 0)
        return error_set(err, ENOMEM, "groups of %s", account->name);
    return own ? pick_own(account, patterns, picked, err) : 0;
}
