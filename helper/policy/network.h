/* What root knows of a container's network: whose container it is, and which namespace its
 * first process has. A file for each in RUNTIME/networks, which nobody else reads or writes,
 * so that a login into a running container need not ask the engine. */
#ifndef BERTH_POLICY_NETWORK_H
#define BERTH_POLICY_NETWORK_H

#include "base/error.h"
#include "policy/connection.h"

#include <stdbool.h>
#include <sys/types.h>

enum { NETWORK_KEY_SIZE = 17 };

struct network {
    char id[CONNECTION_CONTAINER_SIZE]; /* the container's */
    char key[NETWORK_KEY_SIZE];         /* whose of the user's it is (lease.h) */
    char name[CONNECTION_NAME_SIZE];    /* the login's */
    uid_t uid;
    pid_t pid;                  /* of its first process, as this machine counts */
    unsigned long long started; /* process_started() of that */
    unsigned long long inode;   /* of the namespace */
};

/* Notes the container, whose first process is `pid` as long as `process`, a pidfd, has not
 * ended: what that process is and has is asked here. As root. */
int network_publish(const char *runtime_dir, struct network *network, int process,
                    struct error **err);

/* What is known of container `id`. As root; false: nothing. */
bool network_read(struct network *network, const char *runtime_dir, const char *id);

/* The namespace, which is that process's still; -1 where it is another one by now, or is
 * the caller's own. As root. */
int network_open(const struct network *network, struct error **err);

/* Removes what is known of container `id`. As root. */
void network_forget(const char *runtime_dir, const char *id);
/* Removes what is known of containers that have ended. As root. */
void network_sweep(const char *runtime_dir);

#endif
