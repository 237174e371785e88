#include "config.h"

#include "session/upkeep.h"

#include "session/background.h"
#include "session/record.h"
#include "session/sweep.h"

#include <time.h>
#include <unistd.h>

static void run(const struct session *s)
{
    struct sweep sweep = {
        .target = &s->target, .machine = s->machine, .uid = s->request.account.uid};
    struct lease lease;
    cleanup_error struct error *err = NULL;

    if (lease_find(&lease, s->policy->runtime_dir, s->request.account.uid, s->key, &err) < 0)
        return;
    sweep_image(&sweep, &lease);
    sweep_run(&sweep, &lease);
    engine_free(sweep.engine);
    lease_close(&lease);
}

void upkeep_run(const struct session *s)
{
    struct record record;

    if (!record_read(&record, s->lease.lock) || !sweep_is_due(&record))
        return;
    /* Before others come, who would all do the same. */
    record.checked = time(NULL);
    record_update(&record, s->lease.lock);
    if (background_fork("berth-sweep") == 0) {
        run(s);
        _exit(0);
    }
}
