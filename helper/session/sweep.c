#include "config.h"

#include "session/sweep.h"

#include "engine/container.h"
#include "session/record.h"
#include "session/watcher.h"

#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>

enum {
    /* s; after it a create that was given up won't come any more. */
    LATE_CREATE_AGE = 3600,
    /* s between two questions after a container's image. */
    CHECK_EVERY = 60,
};

/* *found: it was there, and removed unless this fails or *kept says that it stays: as the
 * container of the record `former` does, if not NULL. One of that name that isn't the owner's
 * counts as none. */
static int remove_stale(const struct sweep *s, const struct owner *owner,
                        const struct record *former, bool *found, bool *kept, struct error **err)
{
    struct owned owned;

    *found = *kept = false;
    if (owner_ask(s->engine, owner, &owned, err) < 0) {
        if (error_kind(*err) != ERROR_NOT_FOUND)
            return -1;
        error_clear(err);
        return 0;
    }
    /* One whose start was broken off: it is the next login's. */
    const bool waits = owned.ours && !owned.state.dead && former &&
                       strcmp(former->id, owned.state.id) == 0;
    *kept = owned.ours && (owned.keep || waits);
    *found = owned.ours && !*kept;
    if (!owned.ours || s->look || (waits && !owned.keep))
        return 0;
    return owner_end(s->engine, &owned, found, err);
}

static int reach(struct sweep *s, struct error **err)
{
    if (!s->engine)
        s->engine = engine_new(s->target, err);
    return s->engine ? engine_settle(s->engine, err) : -1;
}

static void tell(const struct sweep *s, const struct owner *owner, const struct error *err)
{
    if (s->tell)
        s->tell(s->data, owner, err);
}

bool sweep_is_due(const struct record *record)
{
    long long age = time(NULL) - record->checked;

    return age < 0 || age > CHECK_EVERY;
}

/* An image that is gone outdates nothing: there is no other to take its place. */
static void ask_image(struct sweep *s, struct record *record)
{
    char now[IMAGE_ID_SIZE];
    cleanup_error struct error *err = NULL;

    record->checked = time(NULL);
    if (record->image[0] == '-' || strcmp(record->policy, RECORD_OUTDATED) == 0)
        return;
    if (reach(s, &err) == 0 && image_ask(s->engine, record->image_name, now, &err) == 0 &&
        strcmp(now, record->image) != 0)
        snprintf(record->policy, sizeof record->policy, RECORD_OUTDATED);
}

/* With the lock let go meanwhile: a login must not wait for the engine. */
static void check_image(struct sweep *s, struct record *record, int lock)
{
    struct record now;
    struct stat st;

    flock(lock, LOCK_UN);
    ask_image(s, record);
    /* The same container's still; and we may be root, the file anybody's. */
    if (flock(lock, LOCK_SH | LOCK_NB) == 0 && record_read(&now, lock) &&
        strcmp(now.id, record->id) == 0 && fstat(lock, &st) == 0 && st.st_uid == s->uid)
        record_update(record, lock);
}

void sweep_image(struct sweep *s, struct lease *lease)
{
    struct record record;
    cleanup_error struct error *err = NULL;

    if (lease_try(lease, false, &err) > 0 && record_read(&record, lease->lock))
        check_image(s, &record, lease->lock);
    lease_unlock(lease);
}

/* Whether it lives though nobody uses it now: it lingers or stands by, or is to
 * be started again. A session that was in standby once has its record still. */
static bool is_entitled(const struct lease *stale, char state, const struct record *record)
{
    /* A connection's keeper holds the lock as long as there is the connection, and where it was
     * stopped keeps it without. */
    if (lease_is_connections(stale->session))
        return lease_is_kept(stale);
    if (!lease_is_shared(stale->session) && state != WATCHER_STANDBY)
        return false;
    if (record->keep)
        return true;
    if (record->linger != LINGER_GUEST)
        return record_lingers(record, stale);
    return record_lives(record) || lease_is_kept(stale);
}

static bool sweep_one(void *data, const struct lease *stale)
{
    struct sweep *s = data;
    const struct owner owner = {s->machine, s->uid, stale->session};
    cleanup_error struct error *err = NULL;
    bool found = false, kept = false;
    struct record record;
    long long age;
    char state = lease_noted(stale, &age);

    if (record_read(&record, stale->lock) && is_entitled(stale, state, &record)) {
        if (!s->look && sweep_is_due(&record))
            check_image(s, &record, stale->lock);
        return !s->go_on || s->go_on(s->data);
    }
    if (reach(s, &err) < 0) {
        tell(s, &owner, err);
        return false;
    }
    const bool was = record_former(&record, stale->lock) && is_entitled(stale, state, &record);
    if (remove_stale(s, &owner, was ? &record : NULL, &found, &kept, &err) < 0) {
        tell(s, &owner, err);
        if (error_kind(err) == ERROR_LOST)
            return false;
    } else {
        if (found && !kept)
            tell(s, &owner, NULL);
        if (!s->look && (found || (!kept && (state != WATCHER_CREATING || age > LATE_CREATE_AGE))))
            lease_end(stale);
    }
    return !s->go_on || s->go_on(s->data);
}

void sweep_run(struct sweep *sweep, const struct lease *lease)
{
    lease_each_stale(lease, sweep_one, sweep);
}
