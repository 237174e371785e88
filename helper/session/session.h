/* One session from start to end. */
#ifndef BERTH_SESSION_SESSION_H
#define BERTH_SESSION_SESSION_H

#include "base/error.h"
#include "base/text.h"
#include "channel/client.h"
#include "channel/relay.h"
#include "engine/http.h"
#include "policy/policy.h"
#include "session/identity.h"
#include "session/lease.h"
#include "session/limits.h"
#include "session/request.h"
#include "session/watcher.h"
#include "session/x11.h"

#include <stdbool.h>

enum { SESSION_NETWORK_SIZE = sizeof "container:" + CONTAINER_ID_SIZE };

struct record;

/* What the steps hand on to each other. */
struct session {
    struct request request;
    struct policy *policy;
    bool direct; /* the channel */
    char machine[MACHINE_SIZE];
    char key[LEASE_SESSION_SIZE]; /* whose container it is (lease.h) */
    char container[CONTAINER_NAME_SIZE];
    /* While a shared container is made: what there was before, where that is to be started
     * again if somebody has stopped it, or NULL. */
    const struct record *before;
    bool holds;                         /* it runs nothing, but keeps the container (hold.h) */
    char network[SESSION_NETWORK_SIZE]; /* "container:ID" of the one whose network its own
                                         * container shares (network.h), or "" */
    struct http_target target;
    struct limits limits;
    int metrics;       /* metrics.h, or -1 */
    const char *cause; /* why it isn't let in, in a word for programs; NULL: none known */
    struct lease lease;
    struct watcher watcher;
    int forwarding; /* its closing ends that of agent and display (forwarding.h); or -1 */
    struct x11 x11; /* where request.display leads */
    struct client client;
    struct relay_result result;
    bool client_open, running;
    bool tapped;     /* the command's stderr went to the log */
    long long began; /* now_ms() */
    long long since; /* CLOCK_REALTIME, ms: when it was let in */
};

struct session_end {
    int status; /* the helper's exit status */
    int signal; /* the helper ends by it, so that sshd says exit-signal; or 0 */
};

/* Runs the session that sshd's environment `env` (taken over) and descriptors
 * 0, 1, 2 describe, as `config` allows. The caller has cleared the environment
 * and opened the log. */
struct session_end session_run(const char *config, struct strings *env);

/* By request and policy: where the engine is, which channel, whose container. */
int session_plan(struct session *s, struct error **err);
/* The key of its connection's container. */
void session_connection_key(const struct session *s, char key[LEASE_SESSION_SIZE]);
/* The container is the one of this key (lease.h). */
void session_place(struct session *s, const char *key);
/* What the administrator sees of it, in its place of the register (register.h). */
int session_register(struct session *s, bool running, struct error **err);
/* Starts the watcher of s->lease, which is held. */
int session_watch(struct session *s, struct error **err);
/* For a container of the session's own: from here on it lives, and whoever kills
 * it leaves nothing. */
int session_guard(struct session *s, struct error **err);
/* For the channels: the command runs. */
void session_begun(struct session *s);

#endif
