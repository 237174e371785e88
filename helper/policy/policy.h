/* What one login gets: berth.conf merged and expanded for one user into one
 * flat struct. berth.conf(5) is the reference of every option. */
#ifndef BERTH_POLICY_POLICY_H
#define BERTH_POLICY_POLICY_H

#include "base/error.h"
#include "base/text.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* The login, from getuid() and NSS, never from the environment. */
struct account {
    char *name;
    char *home;
    uid_t uid;
    gid_t gid;
    /* The names of his groups; NULL: NSS is asked, where berth.conf has a group
     * section. */
    const struct strings *groups;
};

/* Where the engine is; parsed and checked, not yet reached. */
struct engine_config {
    char *endpoint;                    /* as written, expanded */
    char *socket;                      /* path of a unix socket, or NULL */
    char *host;                        /* "HOST:PORT" of a TCP engine with TLS, or NULL */
    char *tls_ca, *tls_cert, *tls_key; /* paths; all set where host is */
    char *registry_config;             /* path of a docker config.json, or NULL */
};

enum pull { PULL_MISSING, PULL_ALWAYS, PULL_NEVER };

/* How a session's bytes reach the container (berth.conf(5)). */
enum channel { CHANNEL_AUTO, CHANNEL_DIRECT, CHANNEL_ATTACH };

/* Which sessions share a container. */
enum scope { SCOPE_SESSION, SCOPE_CONNECTION, SCOPE_USER };
/* What becomes of a shared container without sessions, once it has lingered. */
enum on_idle { ON_IDLE_REMOVE, ON_IDLE_STOP };
/* Whether a container that was made by another policy makes room for a new one
 * when nobody uses it. AUTO: yes with ON_IDLE_REMOVE, never with STOP. */
enum replace { REPLACE_AUTO, REPLACE_IDLE, REPLACE_NEVER };

enum audit_format { AUDIT_TEXT, AUDIT_JSON };

/* Whose sftp-server serves sftp. */
enum sftp_source {
    SFTP_BUNDLED, /* the host's, copied (bundle/bundle.h); the image's where there is none */
    SFTP_IMAGE,
    SFTP_OFF,
};
/* Whether the log has what sftp-server does. AUTO: where it is the bundled one. */
enum sftp_audit { SFTP_AUDIT_AUTO, SFTP_AUDIT_YES, SFTP_AUDIT_NO };
#define DEFAULT_UMASK 022

/* So many logins in so many seconds; count 0: any number. */
struct rate {
    long long count, seconds;
};

struct mount {
    char *source; /* absolute path on the host, or a volume's name */
    char *target; /* absolute path in the container */
    bool read_only;
    bool volume; /* source names a volume */
};

struct tmpfs {
    char *target;
    char *options; /* "size=64m,mode=1777", or "" */
};

struct ulimit {
    char *name;           /* "nofile" */
    long long soft, hard; /* -1: unlimited */
};

struct device {
    char *host, *container;
    char *access; /* some of "rwm" */
};

/* All strings are expanded, owned by the policy, and never NULL unless said. */
struct policy {
    char *runtime_dir;
    long long host_max_sessions; /* of all users together, 0: any number */
    enum audit_format audit_format;
    struct engine_config engine;

    char *image; /* empty only where deny is set */
    enum pull pull;
    enum channel channel;
    enum scope scope;
    enum on_idle on_idle;
    enum replace replace;
    long long linger;       /* s; -1: forever */
    long long standby;      /* how many containers wait for logins of scope session */
    long long standby_time; /* s, how long each does */
    bool audit_bytes;       /* the log has the bytes also where berth need not see them */
    long long hangup_grace; /* s, from SIGHUP to SIGKILL where a client went away */
    long long max_sessions; /* at once, of this user; 0: any number */
    long long max_time;     /* s, of a session; 0: any time */
    long long idle_timeout; /* s without a byte either way; 0: any time */
    struct rate login_rate;
    char *shell;              /* absolute path, or NULL: auto */
    char *workdir;            /* or NULL: the image's */
    char *user;               /* "2001:2001" */
    bool names;               /* the user has a name, home and shell in the container */
    struct strings groups;    /* patterns for the login's own groups, or numbers */
    struct strings group_ids; /* what they give: "GID:NAME", NAME perhaps empty */
    char *hostname;           /* or NULL: this machine's */
    char *network;            /* "none", "bridge", "host" or a network's name */
    struct strings dns;
    char *home;     /* path on the host or a volume's name; or NULL */
    char *home_at;  /* the account's home: with `home` one of `mounts`; or NULL */
    bool home_free; /* nothing in berth.conf stands at home_at, or above it */
    struct mount *mounts;
    size_t mount_count;
    struct tmpfs *tmpfs;
    size_t tmpfs_count;
    long long memory;      /* bytes, 0: no limit */
    long long memory_swap; /* bytes, memory and swap together, 0: engine's default, -1: no limit */
    long long nano_cpus;   /* 1e-9 CPUs, 0: no limit */
    long long pids;        /* -1: no limit */
    struct ulimit *ulimits;
    size_t ulimit_count;
    char *cgroup_parent; /* or NULL: the engine's default */
    struct strings cap_add, cap_drop;
    bool no_new_privileges;
    struct strings security_opt;
    bool read_only;
    char *runtime; /* or NULL: the engine's default */
    bool init;
    struct device *devices;
    size_t device_count;
    struct strings labels;     /* "key=value" */
    struct strings env;        /* "NAME=value" */
    struct strings accept_env; /* fnmatch patterns of names */
    bool tty;
    bool agent_forwarding, x11_forwarding;
    bool forwarding;         /* -L, -R and -D lead into the container's network */
    struct strings commands; /* patterns for command_allowed(); none: all */
    char *force_command;     /* or NULL */
    char *banner;            /* or NULL */
    char *motd;              /* path of a file on the host; or NULL */
    char *deny;              /* or NULL; not NULL: refuse with this message */
    char *create;            /* JSON text of Engine API fields, checked to be an object, or NULL */
    unsigned umask;
    enum sftp_source sftp;
    char *sftp_path; /* of the image's sftp-server, or NULL: the usual ones */
    char *sftp_root; /* where sftp begins, or NULL: in the container's home */
    bool sftp_read_only;
    enum sftp_audit sftp_audit;
};

/* Reads and checks all of `path` (file.h's rules for a trusted file), whatever
 * `account` is, then merges defaults, every matching `group` section and every
 * matching `user` section, each kind in file order. Errors name FILE:LINE, or FILE
 * where no one line is at fault. NULL on failure, ERROR_REFUSED where no section
 * matches; free with policy_free. */
struct policy *policy_load(const char *path, const struct account *account, struct error **err);

/* Whether a `group` or `user` section matches, or there is an error: -1. 1 or 0. */
int policy_maps(const char *path, const struct account *account, struct error **err);
/* Visits those that match, in the order in which they count; one that stands before an
 * `inherit = no` doesn't. */
typedef void policy_section(void *data, const char *kind, const char *title, bool counts);
int policy_sections(const char *path, const struct account *account, policy_section *visit,
                    void *data, struct error **err);

/* Where a value comes from: told for every value that counts, in the order in which
 * they are put together; a list's one by one. */
struct policy_origin {
    const char *option;
    const char *value;   /* as the file has it, not expanded */
    bool list;           /* it adds to what was told before */
    const char *section; /* "engine", "defaults", "group", "user", or "" outside of any */
    const char *title;   /* of a group or user section, else NULL */
    unsigned line;       /* 0: berth's own default, no file's */
};
typedef void policy_trace(void *data, const struct policy_origin *origin);
/* policy_load, told on the way. */
struct policy *policy_load_traced(const char *path, const struct account *account,
                                  policy_trace *trace, void *data, struct error **err);

/* The same for `len` bytes of text that were read already and that it may change;
 * `path` is for messages and for the files that the text names. */
struct policy *policy_parse(const char *path, char *data, size_t len, const struct account *account,
                            struct error **err);

/* Whether a container of that runtime gets the host's sockets that are mounted into it:
 * runc's and crun's do, others' such as gVisor's don't. */
bool policy_passes_sockets(const char *runtime);

/* Whether a container of that policy, once idle, stays with its files: what on_idle = stop is
 * in scope user, and nothing in another. */
bool policy_keeps(const struct policy *policy);

/* Only what goes by no group or user section, for an account that need not be mapped:
 * runtime_dir and engine; all else is zeroed. *each says whether another account
 * may have another engine. */
struct policy *policy_load_engine(const char *path, const struct account *account, bool *each,
                                  struct error **err);

void policy_free(struct policy *policy);

static inline void cleanup_policy_ptr(struct policy **p)
{
    policy_free(*p);
    *p = NULL;
}
#define cleanup_policy __attribute__((cleanup(cleanup_policy_ptr)))

#endif
