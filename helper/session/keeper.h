/* What the watcher of a shared container does when no session is its business any more: sees
 * to it that the container ends with its time, and that nothing of it is left. */
#ifndef BERTH_SESSION_KEEPER_H
#define BERTH_SESSION_KEEPER_H

#include "session/record.h"
#include "session/watcher.h"

#include <stdbool.h>

/* Until the container that `record` names has ended, or is another's to keep. */
void keeper_run(const struct watcher_task *task, struct lease *lease, const struct record *record);

/* Takes a shared container's lock, alone; false when it has become another
 * container (whose creator's watcher keeps it), or none. With `mine` NULL none is what
 * it is to be. */
bool keeper_lock(struct lease *lease, const struct record *mine);

/* Removes the task's container; `may_come` as for teardown_remove. */
void keeper_end(const struct watcher_task *task, bool may_come);

#endif
