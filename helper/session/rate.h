/* login_rate: so many logins in so long, in RUNTIME/UID/rate. */
#ifndef BERTH_SESSION_RATE_H
#define BERTH_SESSION_RATE_H

#include "base/error.h"
#include "policy/policy.h"

#include <stdbool.h>

/* The generic cell rate algorithm (ITU-T I.371): `count` at once, then one each
 * `seconds`/`count`. *arrival is what is remembered, 0 at first: when the next would be
 * due were they evenly spread. `now` and it are ns. False: not before *wait ns. */
bool rate_allows(const struct rate *rate, long long *arrival, long long now, long long *wait);

/* The same for a login now, in the user's directory. 1; 0: not before *wait_s; or
 * -1. */
int rate_take(const struct rate *rate, int dir, long long *wait_s, struct error **err);

#endif
