#include "config.h"

#include "pam/groups.h"

#include "base/text.h"

#include <errno.h>
#include <grp.h>
#include <security/pam_ext.h>
#include <security/pam_modutil.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>
#include <unistd.h>

#define DATA "pam_berth_groups"

struct set {
    gid_t *gids;
    size_t count;
    bool changed;
};

static int set_add(struct set *set, gid_t gid)
{
    for (size_t i = 0; i < set->count; i++)
        if (set->gids[i] == gid)
            return 0;
    gid_t *bigger = reallocarray(set->gids, set->count + 1, sizeof *bigger);
    if (!bigger)
        return -1;
    bigger[set->count++] = gid;
    set->gids = bigger;
    set->changed = true;
    return 0;
}

static int set_read(struct set *set)
{
    int count = getgroups(0, NULL);

    set->gids = count >= 0 ? calloc((size_t)count + 1, sizeof *set->gids) : NULL;
    if (!set->gids)
        return -1;
    count = getgroups(count, set->gids);
    if (count < 0)
        return -1;
    set->count = (size_t)count;
    return 0;
}

static int add_named(pam_handle_t *pamh, struct set *set, const char *name)
{
    cleanup_text struct text shown = {0};
    const struct group *group = pam_modutil_getgrnam(pamh, name);

    if (group && group->gr_gid != 0)
        return set_add(set, group->gr_gid);
    text_escape(&shown, name, 64);
    pam_syslog(pamh, LOG_ERR, "groups=%s is not given: %s", text_str(&shown),
               group ? "it is root's" : "NSS knows no such group");
    return 0;
}

static int add_all(pam_handle_t *pamh, struct set *set, const char *names)
{
    int rc = set_read(set);

    for (const char *name = names; rc == 0 && *name;) {
        size_t len = strcspn(name, ",");
        cleanup_string char *one = strndup(name, len);
        rc = !one ? -1 : len == 0 ? 0 : add_named(pamh, set, one);
        name += len + (name[len] == ',');
    }
    return rc;
}

static void names_free(pam_handle_t *pamh, void *data, int status)
{
    (void)pamh;
    (void)status;
    free(data);
}

/* The session's line of the stack needn't name them again. */
static int names_keep(pam_handle_t *pamh, const char *names)
{
    char *kept = strdup(names);

    if (kept && pam_set_data(pamh, DATA, kept, names_free) == PAM_SUCCESS)
        return 0;
    free(kept);
    errno = ENOMEM;
    return -1;
}

static int grant(pam_handle_t *pamh, const char *names, struct error **err)
{
    struct set set = {0};
    int rc = add_all(pamh, &set, names);

    if (rc == 0 && set.changed)
        rc = setgroups(set.count, set.gids);
    if (rc < 0)
        error_set(err, errno, "cannot give groups %s", names);
    free(set.gids);
    return rc;
}

int groups_grant(pam_handle_t *pamh, const char *names, struct error **err)
{
    if (names_keep(pamh, names) < 0)
        return error_set(err, errno, "cannot give groups %s", names);
    return grant(pamh, names, err);
}

int groups_grant_again(pam_handle_t *pamh, struct error **err)
{
    const void *names = NULL;

    if (pam_get_data(pamh, DATA, &names) != PAM_SUCCESS || !names)
        return 0;
    return grant(pamh, names, err);
}
