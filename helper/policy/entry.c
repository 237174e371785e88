#include "config.h"

#include "policy/entry.h"

#include "base/text.h"
#include "policy/value.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/un.h>

/* What getrlimit(2) has and the engine takes. */
static const char *const ulimit_names[] = {
    "as",   "core",   "cpu",   "data", "fsize",  "locks",  "memlock",    "msgqueue",
    "nice", "nofile", "nproc", "rss",  "rtprio", "rttime", "sigpending", "stack",
};

/* capabilities(7), without CAP_. */
static const char *const capabilities[] = {
    "ALL",
    "AUDIT_CONTROL",
    "AUDIT_READ",
    "AUDIT_WRITE",
    "BLOCK_SUSPEND",
    "BPF",
    "CHECKPOINT_RESTORE",
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "IPC_LOCK",
    "IPC_OWNER",
    "KILL",
    "LEASE",
    "LINUX_IMMUTABLE",
    "MAC_ADMIN",
    "MAC_OVERRIDE",
    "MKNOD",
    "NET_ADMIN",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_RAW",
    "PERFMON",
    "SETFCAP",
    "SETGID",
    "SETPCAP",
    "SETUID",
    "SYSLOG",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_CHROOT",
    "SYS_MODULE",
    "SYS_NICE",
    "SYS_PACCT",
    "SYS_PTRACE",
    "SYS_RAWIO",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "WAKE_ALARM",
};

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

void mount_clear(struct mount *m)
{
    free(m->source);
    free(m->target);
    *m = (struct mount){0};
}

void tmpfs_clear(struct tmpfs *t)
{
    free(t->target);
    free(t->options);
    *t = (struct tmpfs){0};
}

void device_clear(struct device *d)
{
    free(d->host);
    free(d->container);
    free(d->access);
    *d = (struct device){0};
}

void ulimit_clear(struct ulimit *u)
{
    free(u->name);
    *u = (struct ulimit){0};
}

int entry_mount(const char *s, struct mount *out, struct error **err)
{
    size_t source = strcspn(s, ":");
    const char *target = s[source] ? s + source + 1 : "";
    size_t target_len = strcspn(target, ":");
    const char *mode = target[target_len] ? target + target_len + 1 : "rw";
    bool volume = s[0] != '/';

    if (volume ? !value_is_name(s, source) : !value_is_path(s, source))
        return error_set(err, 0,
                         "must be SOURCE:TARGET or SOURCE:TARGET:ro, SOURCE an absolute path "
                         "without \".\" and \"..\" in it or the name of a volume");
    if (!value_is_path(target, target_len) || strspn(target, "/") >= target_len)
        return error_set(err, 0,
                         "must be SOURCE:TARGET or SOURCE:TARGET:ro, TARGET an absolute path "
                         "other than \"/\" without \".\" and \"..\" in it");
    if (strcmp(mode, "ro") != 0 && strcmp(mode, "rw") != 0)
        return error_set(err, 0, "has something other than \"ro\" or \"rw\" at its end");
    struct mount m = {
        .source = strndup(s, source),
        .target = strndup(target, target_len),
        .read_only = strcmp(mode, "ro") == 0,
        .volume = volume,
    };
    if (!m.source || !m.target) {
        mount_clear(&m);
        return error_set(err, ENOMEM, "cannot keep it");
    }
    *out = m;
    return 0;
}

int entry_home(const char *s, struct error **err)
{
    size_t len = strlen(s);

    if ((value_is_path(s, len) && strspn(s, "/") < len) || value_is_name(s, len))
        return 0;
    return error_set(err, 0,
                     "must be an absolute path other than \"/\" without \".\" and \"..\" in it, "
                     "or the name of a volume");
}

/* "size=64m,mode=1777": words of tmpfs(5), each with something in it. */
static bool tmpfs_options_valid(const char *s)
{
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                  "0123456789_.:%=-";

    for (;;) {
        size_t n = strspn(s, allowed);
        if (n == 0 || s[0] == '=')
            return false;
        if (s[n] == '\0')
            return true;
        if (s[n] != ',')
            return false;
        s += n + 1;
    }
}

int entry_tmpfs(const char *s, struct tmpfs *out, struct error **err)
{
    size_t target = strcspn(s, ":");

    if (!value_is_path(s, target) || strspn(s, "/") >= target)
        return error_set(err, 0,
                         "must be PATH or PATH:OPTIONS, as in \"/tmp:size=64m\", PATH an "
                         "absolute path other than \"/\" without \".\" and \"..\" in it");
    if (s[target] && !tmpfs_options_valid(s + target + 1))
        return error_set(err, 0, "must have options like \"size=64m,mode=1777\" after the path");
    struct tmpfs t = {
        .target = strndup(s, target),
        .options = strdup(s[target] ? s + target + 1 : ""),
    };
    if (!t.target || !t.options) {
        tmpfs_clear(&t);
        return error_set(err, ENOMEM, "cannot keep it");
    }
    *out = t;
    return 0;
}

static bool access_valid(const char *s)
{
    size_t len = strlen(s);

    for (size_t i = 0; i < len; i++)
        if (!strchr("rwm", s[i]) || strchr(s + i + 1, s[i]))
            return false;
    return len > 0;
}

int entry_device(const char *s, struct device *out, struct error **err)
{
    size_t host = strcspn(s, ":"), container = host;
    const char *inside = s, *access = s[host] ? s + host + 1 : NULL;

    if (access && access[0] == '/') {
        inside = access;
        container = strcspn(inside, ":");
        access = inside[container] ? inside + container + 1 : NULL;
    }
    if (!value_is_path(s, host) || !value_is_path(inside, container) ||
        (access && !access_valid(access)))
        return error_set(err, 0,
                         "must be HOST, HOST:CONTAINER or HOST:CONTAINER:ACCESS, absolute "
                         "paths and some of \"rwm\", as in \"/dev/fuse:/dev/fuse:rw\"");
    struct device d = {
        .host = strndup(s, host),
        .container = strndup(inside, container),
        .access = strdup(access ? access : "rwm"),
    };
    if (!d.host || !d.container || !d.access) {
        device_clear(&d);
        return error_set(err, ENOMEM, "cannot keep it");
    }
    *out = d;
    return 0;
}

static bool ulimit_number(const char *s, size_t len, long long *out)
{
    if ((len == 9 && memcmp(s, "unlimited", 9) == 0) || (len == 2 && memcmp(s, "-1", 2) == 0)) {
        *out = -1;
        return true;
    }
    return value_decimal(s, len, LLONG_MAX, out);
}

int entry_ulimit(const char *s, struct ulimit *out, struct error **err)
{
    size_t name = strcspn(s, "="), known = 0;
    const char *soft = s[name] ? s + name + 1 : "";
    size_t soft_len = strcspn(soft, ":");
    const char *hard = soft[soft_len] ? soft + soft_len + 1 : NULL;
    struct ulimit u = {0};

    while (known < COUNT(ulimit_names) &&
           (strlen(ulimit_names[known]) != name || memcmp(ulimit_names[known], s, name) != 0))
        known++;
    if (known == COUNT(ulimit_names)) {
        cleanup_text struct text names = {0};
        for (size_t i = 0; i < COUNT(ulimit_names); i++)
            text_printf(&names, "%s%s", i ? ", " : "", ulimit_names[i]);
        return error_set(err, 0, "must be NAME=SOFT:HARD or NAME=BOTH, NAME one of %s",
                         text_str(&names));
    }
    if (!ulimit_number(soft, soft_len, &u.soft) ||
        !(hard ? ulimit_number(hard, strlen(hard), &u.hard) : (u.hard = u.soft, true)))
        return error_set(err, 0,
                         "must be NAME=SOFT:HARD or NAME=BOTH, each limit a number or "
                         "\"unlimited\", as in \"nofile=1024:2048\"");
    if (u.hard != -1 && (u.soft == -1 || u.soft > u.hard))
        return error_set(err, 0, "has a soft limit above its hard limit");
    u.name = strdup(ulimit_names[known]);
    if (!u.name)
        return error_set(err, ENOMEM, "cannot keep it");
    *out = u;
    return 0;
}

int entry_capability(const char *s, char **out, struct error **err)
{
    const char *name = strncasecmp(s, "CAP_", 4) == 0 ? s + 4 : s;

    for (size_t i = 0; i < COUNT(capabilities); i++) {
        if (strcasecmp(name, capabilities[i]) == 0) {
            *out = strdup(capabilities[i]);
            return *out ? 0 : error_set(err, ENOMEM, "cannot keep it");
        }
    }
    return error_set(err, 0,
                     "must be a capability of capabilities(7), as in \"NET_RAW\", or "
                     "\"ALL\"");
}

/* "HOST:PORT", HOST a name, an IPv4 address or an IPv6 one in brackets. */
static bool authority_valid(const char *s)
{
    const char *colon = strrchr(s, ':');
    long long port;

    if (!colon || !value_decimal(colon + 1, strlen(colon + 1), 65535, &port) || port == 0)
        return false;
    size_t host = (size_t)(colon - s);
    if (host > 2 && host < 64 && s[0] == '[' && s[host - 1] == ']') {
        char address[64] = {0};
        struct error *ignored = NULL;
        memcpy(address, s + 1, host - 2);
        bool ok = strchr(address, ':') && value_address(address, &ignored) == 0;
        error_clear(&ignored);
        return ok;
    }
    return value_is_name(s, host);
}

int entry_endpoint(const char *s, char **socket, char **host, struct error **err)
{
    char *kept_socket = NULL, *kept_host = NULL;

    if (strncmp(s, "unix://", 7) == 0) {
        if (!value_is_path(s + 7, strlen(s + 7)) ||
            strlen(s + 7) >= sizeof((struct sockaddr_un *)0)->sun_path || strchr(s, ' '))
            return error_set(err, 0,
                             "must name the socket by an absolute path without blanks, "
                             "\".\" and \"..\", of at most %zu bytes, as in "
                             "\"unix:///run/docker.sock\"",
                             sizeof((struct sockaddr_un *)0)->sun_path - 1);
        kept_socket = strdup(s + 7);
    } else if (strncmp(s, "tcp://", 6) == 0) {
        if (!authority_valid(s + 6))
            return error_set(err, 0,
                             "must be tcp://HOST:PORT, as in \"tcp://engine:2376\" or "
                             "\"tcp://[::1]:2376\"");
        kept_host = strdup(s + 6);
    } else {
        return error_set(err, 0, "must be unix:///PATH or tcp://HOST:PORT");
    }
    if (!kept_socket && !kept_host)
        return error_set(err, ENOMEM, "cannot keep it");
    *socket = kept_socket;
    *host = kept_host;
    return 0;
}
