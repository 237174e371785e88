/* The create body: what the policy and the request say, as the engine's JSON. */
#ifndef BERTH_SESSION_SPEC_H
#define BERTH_SESSION_SPEC_H

#include "base/error.h"
#include "policy/policy.h"
#include "session/request.h"

#include <json-c/json_types.h>
#include <stdbool.h>
#include <sys/ioctl.h>

/* What the container's first process is. */
enum spec_process {
    SPEC_SESSION, /* the session's command: scope session by attach */
    SPEC_GUEST,   /* ours: the direct channel */
    SPEC_KEEPER,  /* one that only stays, for sessions that come by exec */
};

struct spec_context {
    enum spec_process process;
    const char *machine;
    bool local;        /* the engine reads this machine's files */
    bool console_size; /* it takes a TTY's first size (API 1.42) */
    bool has_window;
    struct winsize window;
    const char *folder;  /* the container's, on this machine, where it is mounted; else NULL */
    bool x11;            /* and where it has a place for displays' sockets (x11_place.h) */
    const char *key;     /* whose container it is: the lease's (lease.h) */
    const char *network; /* "container:ID", whose network it shares; NULL: what the policy says */
};

enum { SPEC_HASH_SIZE = 17 };
/* A hash, in hex, of a shared container's create body, and of the version that its
 * guest speaks: another policy has another one, and so has a berth that couldn't
 * talk to it. Not a secret, and nobody's proof. */
void spec_hash(char hash[SPEC_HASH_SIZE], struct json_object *body);

/* POST /containers/create's body. The order of what wins: berth's labels and
 * what the channel needs, then the policy's `create` fields, then the rest. The
 * caller puts it. NULL on failure: a command that can't be carried. */
struct json_object *spec_make(const struct policy *policy, const struct request *request,
                              const struct spec_context *context, struct error **err);

#endif
