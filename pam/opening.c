#include "config.h"

#include "pam/opening.h"

#include "pam/network.h"
#include "pam/peer.h"
#include "pam/sweep.h"
#include "pam/variables.h"

#include "base/file.h"
#include "base/process.h"
#include "base/runtime.h"
#include "policy/connection.h"
#include "policy/mount.h"
#include "policy/network.h"
#include "policy/xauth.h"

#include <errno.h>
#include <security/pam_ext.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/random.h>
#include <syslog.h>
#include <unistd.h>

#define DATA     "pam_berth"
#define VARIABLE "BERTH_CONNECTION"

/* Kept with the handle, from open_session to close_session. */
struct opened {
    char *config;
    char *runtime_dir;
    uid_t uid;
    gid_t gid;
    struct connection connection; /* its id is "" where there is no file */
    bool ends;                    /* the container of its network, with the connection */
    bool forwards;                /* not without the network of a container */
    bool display;                 /* and one for a forwarded display's cookie (xauth.h) */
};

static void opened_free(pam_handle_t *pamh, void *data, int status)
{
    struct opened *opened = data;

    (void)pamh;
    (void)status;
    free(opened->config);
    free(opened->runtime_dir);
    free(opened);
}

/* As the user, so that what is made is his from the first moment and a limit on him
 * holds. */
static void become(uid_t uid, gid_t gid)
{
    setfsgid(gid);
    setfsuid(uid);
}

static void become_root(void)
{
    setfsuid(geteuid());
    setfsgid(getegid());
}

static int directory_make(const char *runtime_dir, const struct account *account,
                          struct error **err)
{
    become(account->uid, account->gid);
    cleanup_fd int dir = runtime_open_user(runtime_dir, account->uid, true, err);
    become_root();
    return dir < 0 ? -1 : 0;
}

/* Without it a session has no display, and goes on. */
static void display_make(const struct login *login, struct opened *opened)
{
    cleanup_error struct error *err = NULL;

    if (!opened->connection.id[0])
        return;
    become(opened->uid, opened->gid);
    cleanup_fd int dir = runtime_open_user(opened->runtime_dir, opened->uid, false, &err);
    opened->display = dir >= 0 && xauth_make(dir, opened->connection.id, &err) == 0;
    become_root();
    if (err)
        pam_syslog(login->pamh, LOG_NOTICE, "user \"%s\": no X11 forwarding: %s",
                   text_str(&login->shown), error_text(err));
}

static void display_remove(const struct opened *opened)
{
    cleanup_error struct error *none = NULL;

    if (!opened->display)
        return;
    become(opened->uid, opened->gid);
    cleanup_fd int dir = runtime_open_user(opened->runtime_dir, opened->uid, false, &none);
    if (dir >= 0)
        xauth_remove(dir, opened->connection.id);
    become_root();
}

static int home_make(const struct login *login, const struct policy *policy, struct error **err)
{
    bool made = false;

    if (!policy->home || policy->home[0] != '/' || !policy->engine.socket)
        return 0;
    if (mount_source_make(policy->home, login->account.uid, login->account.gid, &made, err) < 0)
        return error_wrap(err, "home");
    if (made)
        pam_syslog(login->pamh, LOG_NOTICE, "user \"%s\": made home %s", text_str(&login->shown),
                   policy->home);
    return 0;
}

static int id_make(char id[CONNECTION_ID_SIZE], struct error **err)
{
    unsigned char bytes[8];

    if (getrandom(bytes, sizeof bytes, 0) != (ssize_t)sizeof bytes)
        return error_set(err, errno, "getrandom");
    for (size_t i = 0; i < sizeof bytes; i++)
        snprintf(id + 2 * i, 3, "%02x", bytes[i]);
    return 0;
}

/* sshd's own variable, as it stands now. */
static bool peer_read(const struct login *login, char peer[CONNECTION_PEER_SIZE])
{
    const char *said = pam_getenv(login->pamh, "SSH_CONNECTION");

    return said && (size_t)snprintf(peer, CONNECTION_PEER_SIZE, "%s", said) < CONNECTION_PEER_SIZE;
}

/* Without addresses, or with forged ones, nothing is vouched: a uid of several names is
 * then refused by the helper, and the log lacks the id. */
static int vouch(const struct login *login, struct opened *opened, struct error **err)
{
    struct connection c = {
        .uid = login->account.uid, .sshd = getpid(), .started = process_started(getpid())};

    if (!peer_read(login, c.peer) || !peer_is_ours(c.peer)) {
        pam_syslog(login->pamh, LOG_NOTICE,
                   "user \"%s\": sshd has no TCP connection that fits its SSH_CONNECTION: "
                   "nothing is vouched for",
                   text_str(&login->shown));
        return 0;
    }
    if ((size_t)snprintf(c.name, sizeof c.name, "%s", login->account.name) >= sizeof c.name)
        return error_set(err, ENAMETOOLONG, "name of the login");
    cleanup_fd int folder = connection_folder(opened->runtime_dir, err);
    if (folder < 0 || id_make(c.id, err) < 0 || connection_publish(folder, &c, err) < 0)
        return -1;
    opened->connection = c;
    return 0;
}

static void withdraw(const struct opened *opened)
{
    cleanup_error struct error *none = NULL;

    if (!opened->connection.id[0])
        return;
    display_remove(opened);
    cleanup_fd int folder = connection_folder(opened->runtime_dir, &none);
    if (folder >= 0)
        connection_withdraw(folder, &opened->connection);
}

static int variable_set(const struct login *login, const char *id, struct error **err)
{
    char entry[sizeof VARIABLE + CONNECTION_ID_SIZE];

    if (!id[0])
        return 0;
    snprintf(entry, sizeof entry, VARIABLE "=%s", id);
    if (pam_putenv(login->pamh, entry) != PAM_SUCCESS)
        return error_set(err, ENOMEM, VARIABLE);
    pam_syslog(login->pamh, LOG_INFO, "open connection=%s user=\"%s\" uid=%u sshd=%d", id,
               text_str(&login->shown), (unsigned)login->account.uid, (int)getpid());
    return 0;
}

/* After the environment was cleared: sshd's xauth goes by it, on the host and as the
 * user. */
static int display_tell(const struct login *login, const struct opened *opened, struct error **err)
{
    char name[XAUTH_NAME_SIZE];

    if (!opened->display)
        return 0;
    xauth_name(name, opened->connection.id);
    cleanup_string char *entry = text_format("XAUTHORITY=%s/%u/%s", opened->runtime_dir,
                                             (unsigned)opened->uid, name);
    if (!entry || pam_putenv(login->pamh, entry) != PAM_SUCCESS)
        return error_set(err, ENOMEM, "XAUTHORITY");
    return 0;
}

/* Last: from here on this process is in that network. Who has another shell and no
 * forwarding is let alone: he may be an administrator. */
static int network_choose(const struct login *login, const struct policy *policy,
                          struct opened *opened, struct error **err)
{
    if (!policy->forwarding || policy->deny)
        return login->arguments.forwarding && login->shell ? network_leave(err) : 0;
    if (network_enter(login, policy, &opened->connection, err) < 0)
        return -1;
    cleanup_fd int folder = connection_folder(opened->runtime_dir, err);
    return folder < 0 ? -1 : connection_publish(folder, &opened->connection, err);
}

/* What can't be told counts as forbidden; who has another shell gets in all the same. */
static bool is_to_forward(const struct login *login, const struct policy *policy)
{
    cleanup_error struct error *unleft = NULL;

    if (policy)
        return policy->forwarding && !policy->deny;
    return login->arguments.forwarding && network_leave(&unleft) < 0;
}

bool opening_forwards(const struct login *login)
{
    cleanup_error struct error *none = NULL;
    cleanup_policy struct policy *policy = login_policy(login, &none);

    return is_to_forward(login, policy);
}

static int prepare(const struct login *login, struct opened *opened, struct error **err)
{
    cleanup_policy struct policy *policy = login_policy(login, err);

    opened->forwards = is_to_forward(login, policy);
    if (!policy)
        return -1;
    opened->uid = login->account.uid;
    opened->gid = login->account.gid;
    opened->config = strdup(login->arguments.config);
    opened->runtime_dir = strdup(policy->runtime_dir);
    if (!opened->config || !opened->runtime_dir)
        return error_set(err, ENOMEM, "runtime directory");
    if (directory_make(policy->runtime_dir, &login->account, err) < 0 ||
        (!policy->deny && home_make(login, policy, err) < 0))
        return -1;
    if (vouch(login, opened, err) < 0)
        return -1;
    if (policy->x11_forwarding)
        display_make(login, opened);
    opened->ends = policy->scope != SCOPE_USER;
    return network_choose(login, policy, opened, err);
}

int opening_make(const struct login *login, bool *forwards, struct error **err)
{
    struct opened *opened = calloc(1, sizeof *opened);
    cleanup_error struct error *uncleared = NULL;

    if (!opened || pam_set_data(login->pamh, DATA, opened, opened_free) != PAM_SUCCESS) {
        free(opened);
        return error_set(err, ENOMEM, "session");
    }
    int rc = prepare(login, opened, err);
    *forwards = opened->forwards;
    if (variables_clear(login->pamh, &uncleared) < 0 && rc == 0)
        rc = error_set(err, 0, "%s", error_text(uncleared));
    if (rc == 0)
        rc = variable_set(login, opened->connection.id, err);
    if (rc == 0)
        rc = display_tell(login, opened, err);
    /* sshd closes no session that didn't open. */
    if (rc < 0)
        withdraw(opened);
    return rc;
}

bool opening_end(pam_handle_t *pamh)
{
    const void *data = NULL;

    if (pam_get_data(pamh, DATA, &data) != PAM_SUCCESS || !data)
        return false;
    const struct opened *opened = data;
    if (!opened->runtime_dir || !opened->config)
        return false;
    withdraw(opened);
    if (opened->ends && opened->connection.network_pid > 0)
        network_forget(opened->runtime_dir, opened->connection.network);
    sweep_start(opened->config, opened->uid);
    return true;
}
