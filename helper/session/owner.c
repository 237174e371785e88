#include "config.h"

#include "session/owner.h"

#include "base/file.h"
#include "base/process.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    /* What ended a process by itself, or kept it from running, has a status of up to that; 255
     * is what an engine says that knows only that it is dead. */
    SIGNALLED = 128,
    /* For an engine to notice a container's end, which a busy one may take seconds for. */
    NOTICE_MS = 10000,
    NOTICE_LOOK_MS = 50,
};

struct labels {
    const struct owner *owner;
    struct owned *owned;
    unsigned matches;
};

static void take_label(void *data, const char *key, const char *value)
{
    struct labels *l = data;
    char uid[16];

    snprintf(uid, sizeof uid, "%u", (unsigned)l->owner->uid);
    l->matches += strcmp(key, LABEL_MACHINE) == 0 && strcmp(value, l->owner->machine) == 0;
    l->matches += strcmp(key, LABEL_UID) == 0 && strcmp(value, uid) == 0;
    l->matches += strcmp(key, LABEL_SESSION) == 0 && strcmp(value, l->owner->key) == 0;
    if (strcmp(key, LABEL_KEEP) == 0)
        l->owned->keep = strcmp(value, "1") == 0;
    if (strcmp(key, LABEL_USER) == 0)
        snprintf(l->owned->user, sizeof l->owned->user, "%s", value);
    if (strcmp(key, LABEL_POLICY) == 0)
        snprintf(l->owned->policy, sizeof l->owned->policy, "%s", value);
}

int owner_ask(struct engine *engine, const struct owner *owner, struct owned *owned,
              struct error **err)
{
    struct labels labels = {.owner = owner, .owned = owned};
    char name[CONTAINER_NAME_SIZE];

    *owned = (struct owned){0};
    identity_name(name, owner->machine, owner->uid, owner->key);
    if (container_ask(engine, name, &owned->state, take_label, &labels, err) < 0)
        return -1;
    owned->ours = labels.matches == 3;
    owned->keep = owned->keep && owned->state.started && !owned->state.dead;
    return 0;
}

static bool is_gone(pid_t pid)
{
    cleanup_fd int process = process_open(pid, "", NULL);

    return process < 0 ? errno == ESRCH : process_has_ended(process);
}

int owner_ask_noticed(struct engine *engine, const struct owner *owner, bool local,
                      struct owned *owned, struct error **err)
{
    const long long end = now_ms() + NOTICE_MS;

    for (;;) {
        if (owner_ask(engine, owner, owned, err) < 0)
            return -1;
        if (!local || !owned->state.running || owned->state.pid <= 0 ||
            !is_gone(owned->state.pid) || now_ms() > end)
            return 0;
        pause_ms(NOTICE_LOOK_MS);
    }
}

bool owner_was_stopped(const struct owned *owned)
{
    const struct container_state *state = &owned->state;

    return owned->ours && state->started && !state->running && !state->dead &&
           state->status > SIGNALLED;
}

int owner_end(struct engine *engine, const struct owned *owned, bool *found, struct error **err)
{
    if (!owned->keep)
        return container_delete(engine, owned->state.id, found, err);
    *found = true;
    return owned->state.running ? container_stop(engine, owned->state.id, err) : 0;
}

bool owner_read(struct owner *owner, const char *machine, const char *name, const char *uid,
                const char *session)
{
    char derived[CONTAINER_NAME_SIZE], again[16];

    if (!uid || !session || !lease_is_key(session))
        return false;
    *owner = (struct owner){machine, (uid_t)strtoull(uid, NULL, 10), session};
    snprintf(again, sizeof again, "%u", (unsigned)owner->uid);
    identity_name(derived, machine, owner->uid, session);
    return strcmp(uid, again) == 0 && strcmp(name, derived) == 0;
}

int owner_delete(struct engine *engine, const struct owner *owner, bool *found, struct error **err)
{
    char name[CONTAINER_NAME_SIZE];
    struct owned owned;

    *found = false;
    if (engine_settle(engine, err) < 0)
        return -1;
    identity_name(name, owner->machine, owner->uid, owner->key);
    /* A shared container's name can be taken by somebody else's, a session's
     * can't: it is random. */
    if (!lease_is_shared(owner->key))
        return container_delete(engine, name, found, err);
    if (owner_ask(engine, owner, &owned, err) < 0) {
        if (error_kind(*err) != ERROR_NOT_FOUND)
            return -1;
        error_clear(err);
        return 0;
    }
    return owned.ours ? owner_end(engine, &owned, found, err) : 0;
}
