#include "config.h"

#include "session/limits.h"

#include "base/file.h"
#include "base/runtime.h"
#include "policy/limit.h"
#include "session/rate.h"
#include "session/slots.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#define HOST_FILE "slots"

/* Everybody's sessions, a byte each: all users must be able to lock it, and nobody to
 * put another in its place. */
static int open_host(const char *runtime_dir, struct error **err)
{
    struct stat st;
    cleanup_fd int top = runtime_open(runtime_dir, err);

    if (top < 0)
        return -1;
    cleanup_fd int fd = runtime_open_file(top, HOST_FILE, O_RDWR);
    if (fd < 0 && (errno == ENOENT || errno == EACCES))
        return error_set(err, errno,
                         "host_max_sessions needs %s/%s: systemd-tmpfiles --create makes it, or: "
                         "install -m 666 /dev/null %s/%s",
                         runtime_dir, HOST_FILE, runtime_dir, HOST_FILE);
    if (fd < 0 || fstat(fd, &st) < 0)
        return error_set(err, errno, "%s/%s: cannot open", runtime_dir, HOST_FILE);
    if (st.st_uid != 0)
        return error_set(err, 0, "%s/%s: owned by uid %u, must be root's: remove it", runtime_dir,
                         HOST_FILE, (unsigned)st.st_uid);
    return release_fd(&fd);
}

int limits_prepare(const char *runtime_dir, struct error **err)
{
    cleanup_fd int top = runtime_open(runtime_dir, err);

    if (top < 0)
        return -1;
    cleanup_fd int fd = runtime_open_file(top, HOST_FILE, O_RDWR | O_CREAT | O_EXCL);
    /* Whatever the umask. */
    if (fd < 0 ? errno != EEXIST : fchmod(fd, 0666) < 0)
        return error_set(err, errno, "%s/%s: cannot make", runtime_dir, HOST_FILE);
    return 0;
}

static int join(struct limits *limits, const struct policy *policy, const char *user, int dir,
                const char **cause, struct error **err)
{
    unsigned held;

    *cause = "error";
    int rc = register_join(&limits->place, dir, policy->max_sessions, &held, err);
    if (rc != 0)
        return rc < 0 ? -1 : 0;
    *cause = "max-sessions";
    if (policy->max_sessions == 0 || held < policy->max_sessions)
        return error_set(err, 0, "%s has %u sessions, and no user can have more: end one", user,
                         held);
    return error_set(err, 0,
                     "%s has %u sessions already (max_sessions = %lld): end one, or ask the "
                     "administrator",
                     user, held, policy->max_sessions);
}

static int join_host(struct limits *limits, const struct policy *policy, const char **cause,
                     struct error **err)
{
    unsigned held, slot;

    if (policy->host_max_sessions == 0)
        return 0;
    *cause = "error";
    limits->host = open_host(policy->runtime_dir, err);
    const struct slots slots = {.fd = limits->host, .size = 1, .count = LIMIT_COUNT_MOST};
    if (limits->host < 0)
        return -1;
    int rc = slots_take(&slots, (unsigned)policy->host_max_sessions, &slot, &held, err);
    if (rc < 0)
        return error_wrap(err, "%s/%s", policy->runtime_dir, HOST_FILE);
    if (rc > 0)
        return 0;
    *cause = "host-max-sessions";
    return error_set(err, 0,
                     "this machine has %u sessions already (host_max_sessions = %lld): try again "
                     "later, or ask the administrator",
                     held, policy->host_max_sessions);
}

static int keep_rate(const struct policy *policy, const char *user, int dir, const char **cause,
                     struct error **err)
{
    const struct rate *rate = &policy->login_rate;
    char time[LIMIT_TIME_SIZE];
    long long wait_s = 0;

    if (rate->count == 0)
        return 0;
    *cause = "error";
    int rc = rate_take(rate, dir, &wait_s, err);
    if (rc != 0)
        return rc < 0 ? -1 : 0;
    *cause = "login-rate";
    limit_time_text(time, rate->seconds);
    return error_set(err, 0,
                     "%s logs in too often (login_rate = %lld/%s): try again in %lld s, or ask the "
                     "administrator",
                     user, rate->count, time, wait_s);
}

int limits_admit(struct limits *limits, const struct policy *policy, const char *user, int dir,
                 const char **cause, struct error **err)
{
    /* The rate last: who isn't let in for another reason hasn't used it up. */
    if (join(limits, policy, user, dir, cause, err) < 0 ||
        join_host(limits, policy, cause, err) < 0 || keep_rate(policy, user, dir, cause, err) < 0)
        return -1;
    *cause = NULL;
    return 0;
}

void limits_leave(struct limits *limits)
{
    register_leave(&limits->place);
    close_fd(&limits->host);
}
