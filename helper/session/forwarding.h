/* What of the client's a session may reach: its agent, its display. Two processes for
 * both, only where the client forwards one and berth.conf lets it: who may open
 * connections to sshd, sees the helper end, and takes the session's sockets away then;
 * and his confined child, who moves the bytes and can open nothing. */
#ifndef BERTH_SESSION_FORWARDING_H
#define BERTH_SESSION_FORWARDING_H

#include "session/session.h"

/* Whether containers of this policy get their folder mounted for that: the direct
 * channel's have it anyway. */
bool forwarding_mounts(const struct session *s);
/* And a place for displays' sockets in it at X11_AT (x11_place.h). */
bool forwarding_mounts_x11(const struct session *s);
/* lease_make_folder, with that place where it is to be mounted. */
int forwarding_make_folder(const struct session *s, struct error **err);

/* Once the policy and the channel are known: where agent and display are in the
 * container, for the session's variables. What is not to be had is told to the log. */
void forwarding_plan(struct session *s);

/* In the folder of s->lease's container, before the session starts in it and after all
 * other processes are forked that are to outlive the helper. Where it fails, the
 * session goes on without, as under sshd; the log has it. */
void forwarding_start(struct session *s);
/* Its end; the helper's is one too. */
void forwarding_stop(struct session *s);

#endif
