/* A bound on what the system's user database (NSS) takes to answer: with LDAP it is
 * a server's answer, or a daemon's, that may never come. */
#ifndef BERTH_SESSION_NSS_ALARM_H
#define BERTH_SESSION_NSS_ALARM_H

#include "session/request.h"

/* Longer than the usual time limits of LDAP clients: their own answer, "no such
 * user" say, comes first where there is one. */
enum { NSS_ALARM_S = 20 };

/* From here to nss_alarm_off: what isn't done after NSS_ALARM_S seconds ends the
 * process with status 254, a line to the user and one to the log. `what` can't be
 * done meanwhile, as in "tell who logs in"; of the request what is known so far is
 * logged. The helper must have no other thread and no child yet. */
void nss_alarm_on(const struct request *request, const char *what);
/* The same for `berth check`, which ends with status 1: what is looked up, as in
 * "account", and its name. Nothing goes to the log. */
void nss_alarm_on_check(const char *what, const char *name);
void nss_alarm_off(void);

#endif
