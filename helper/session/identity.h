/* How a container is known to be ours: labels, and a name derived from them.
 * A label alone proves nothing: docker commit copies labels. */
#ifndef BERTH_SESSION_IDENTITY_H
#define BERTH_SESSION_IDENTITY_H

#include "base/error.h"

#include <stddef.h>
#include <sys/types.h>

#define LABEL_MACHINE "berth.machine"
#define LABEL_RUNTIME "berth.runtime"
#define LABEL_UID     "berth.uid"
#define LABEL_USER    "berth.user"
#define LABEL_SESSION "berth.session"
#define LABEL_SCOPE   "berth.scope"
#define LABEL_POLICY  "berth.policy"
/* "1": it stays though it has no lock file (on_idle = stop). */
#define LABEL_KEEP "berth.keep"

enum { MACHINE_SIZE = 65, CONTAINER_NAME_SIZE = 96 };

/* /etc/machine-id, or the host's name where there is none. */
void identity_machine(char machine[MACHINE_SIZE]);

/* "berth-3d1219c7-2001-9f8e7d6c5b4a3921": machine's first eight, uid, session. */
void identity_name(char name[CONTAINER_NAME_SIZE], const char *machine, uid_t uid,
                   const char *session);

/* 16 random hex digits. */
int identity_session(char session[17], struct error **err);

#endif
