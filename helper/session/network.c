#include "config.h"

#include "session/network.h"

#include "base/file.h"
#include "base/process.h"
#include "policy/network.h"
#include "session/owner.h"
#include "session/place.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

static int refuse_other(struct error **err)
{
    return error_set(err, 0,
                     "the container in whose network this connection is has ended "
                     "(forwarding = container): connect again");
}

static bool is_vouched(const struct session *s, const struct record *record)
{
    const struct connection *vouched = &s->request.vouched;

    return record->pid == vouched->network_pid && strcmp(record->id, vouched->network) == 0;
}

int network_joins(const struct session *s, const struct record *record, struct error **err)
{
    if (!s->policy->forwarding || s->holds || is_vouched(s, record))
        return 0;
    return refuse_other(err);
}

/* The connection's container, which nothing runs in: each session's has its network. */
static int find_holder(struct session *s, struct error **err)
{
    cleanup_error struct error *none = NULL;
    char key[LEASE_SESSION_SIZE];
    struct lease lease;
    struct record record;

    session_connection_key(s, key);
    if (lease_find(&lease, s->policy->runtime_dir, s->request.account.uid, key, &none) < 0)
        return refuse_other(err);
    bool there = record_peek(&record, &lease) && is_vouched(s, &record) && record_lives(&record);
    lease_close(&lease);
    if (!there)
        return refuse_other(err);
    snprintf(s->network, sizeof s->network, "container:%s", record.id);
    return 0;
}

int network_check(struct session *s, struct error **err)
{
    if (!s->policy->forwarding || s->holds)
        return 0;
    s->cause = "network";
    if (s->request.vouched.network_pid == 0)
        return error_set(err, 0,
                         "forwarding = container needs pam_berth among the session modules of "
                         "sshd, which has not put this connection into its container's network");
    return s->policy->scope == SCOPE_SESSION ? find_holder(s, err) : 0;
}

/* Root goes by the word of an engine that is root's alone. */
static int check_socket(const char *path, struct error **err)
{
    struct stat st;

    if (stat(path, &st) < 0)
        return error_set(err, errno, "engine %s: cannot look at its socket", path);
    if (st.st_uid != 0)
        return error_set(err, 0,
                         "engine %s: its socket is uid %u's, and forwarding = container goes by "
                         "the word of one that is root's",
                         path, (unsigned)st.st_uid);
    return 0;
}

/* The container's first process: a pidfd. */
static int take(struct network *network, const struct owned *owned, const struct account *account,
                struct error **err)
{
    enum process_place place;

    if (!owned->ours || strcmp(owned->user, account->name) != 0)
        return error_set(err, 0, "the container of that name isn't this login's");
    if (!owned->state.running || owned->state.pid <= 1)
        return error_set_kind(err, ERROR_LOST, "the container has ended");
    cleanup_fd int process = process_open(owned->state.pid, owned->state.id, &place);
    if (process < 0 || place != PROCESS_THERE)
        return error_set_kind(err, ERROR_LOST,
                              "process %d, which the engine names as the container's first, isn't "
                              "in it",
                              (int)owned->state.pid);
    network->pid = owned->state.pid;
    memcpy(network->id, owned->state.id, sizeof network->id);
    return release_fd(&process);
}

static int ask(struct network *network, const struct policy *policy, const struct account *account,
               struct error **err)
{
    const struct http_target target = {.socket = policy->engine.socket};
    char machine[MACHINE_SIZE];
    const struct owner owner = {machine, account->uid, network->key};
    struct owned owned;

    identity_machine(machine);
    struct engine *engine = engine_new(&target, err);
    int rc = engine ? 0 : -1;
    if (rc == 0 && engine_negotiate(engine, err) < 0)
        rc = place_unreached(policy, err);
    if (rc == 0)
        rc = owner_ask(engine, &owner, &owned, err);
    int process = rc == 0 ? take(network, &owned, account, err) : -1;
    engine_free(engine);
    return process;
}

int network_learn(const struct network_task *task, struct error **err)
{
    const struct account *account = task->account;
    struct network network = {.uid = account->uid};
    cleanup_policy struct policy *policy = policy_load(task->config, account, err);

    if (!policy)
        return -1;
    if (!policy->forwarding || !policy->engine.socket)
        return error_set(err, 0, "%s has no forwarding = container in %s", account->name,
                         task->config);
    if (!lease_is_shared(task->key) || (size_t)snprintf(network.name, sizeof network.name, "%s",
                                                        account->name) >= sizeof network.name)
        return error_set(err, EINVAL, "container \"%s\" of %s", task->key, account->name);
    snprintf(network.key, sizeof network.key, "%s", task->key);
    if (check_socket(policy->engine.socket, err) < 0)
        return -1;
    cleanup_fd int process = ask(&network, policy, account, err);
    return process < 0 ? -1 : network_publish(policy->runtime_dir, &network, process, err);
}
