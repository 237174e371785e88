/* Whether a login is let in, as far as its policy tells. Why it isn't is in s->cause, in a
 * word for programs. */
#ifndef BERTH_SESSION_ADMISSION_H
#define BERTH_SESSION_ADMISSION_H

#include "session/session.h"

/* Who it is, by sshd's environment `env` (taken over), and what berth.conf has for him. */
int admission_read(struct session *s, const char *config, struct strings *env, struct error **err);
/* Whether that lets this request in. */
int admission_check(struct session *s, struct error **err);
/* What an engine on this machine mounts as root must be what was meant. */
int admission_mounts(struct session *s, struct error **err);

#endif
