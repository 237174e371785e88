/* What a login to a container that is there already leaves for later: whoever makes
 * one has a watcher that sweeps, whoever joins one hasn't. */
#ifndef BERTH_SESSION_UPKEEP_H
#define BERTH_SESSION_UPKEEP_H

#include "session/session.h"

/* For a session that runs in a shared container: in the background, sweeps, and asks
 * whether the image's name stands for another image by now. Once a minute at most,
 * whoever logs in. */
void upkeep_run(const struct session *s);

#endif
