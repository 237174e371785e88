/* Parsers of the values that have parts: "SRC:DST:ro", "nofile=1024:2048". Each
 * returns 0 and fills `out`, whose strings the caller then owns, or -1 with an
 * error that says what would be right and nothing left to free. */
#ifndef BERTH_POLICY_ENTRY_H
#define BERTH_POLICY_ENTRY_H

#include "base/error.h"
#include "policy/policy.h"

int entry_mount(const char *s, struct mount *out, struct error **err);
/* Not taken apart: a directory on the host or a volume's name. */
int entry_home(const char *s, struct error **err);
int entry_tmpfs(const char *s, struct tmpfs *out, struct error **err);
int entry_device(const char *s, struct device *out, struct error **err);
int entry_ulimit(const char *s, struct ulimit *out, struct error **err);
/* "cap_net_raw" and "NET_RAW" both give "NET_RAW"; "ALL" is one too. */
int entry_capability(const char *s, char **out, struct error **err);
/* One of *socket and *host is set, the other NULL: see struct engine_config. */
int entry_endpoint(const char *s, char **socket, char **host, struct error **err);

void mount_clear(struct mount *m);
void tmpfs_clear(struct tmpfs *t);
void device_clear(struct device *d);
void ulimit_clear(struct ulimit *u);

#endif
