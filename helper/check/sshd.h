/* sshd's settings for one user, as `sshd -T` has them. */
#ifndef BERTH_CHECK_SSHD_H
#define BERTH_CHECK_SSHD_H

#include "base/error.h"
#include "base/text.h"

#include <stdbool.h>
#include <stddef.h>

struct sshd_setting {
    char *key;   /* lower case */
    char *value; /* the rest of the line */
};

struct sshd_settings {
    struct sshd_setting *items;
    size_t count;
};

/* Runs `sshd -T -C user=USER,...`; `file` is the sshd_config, NULL sshd's own. */
int sshd_ask(struct sshd_settings *settings, const char *file, const char *user,
             struct error **err);
/* The same of what it printed. */
int sshd_parse(struct sshd_settings *settings, const char *text, struct error **err);
/* The value of the index'th line with this key, whatever its case; NULL past the last. */
const char *sshd_get(const struct sshd_settings *settings, const char *key, size_t index);
bool sshd_is(const struct sshd_settings *settings, const char *key, const char *value);
void sshd_free(struct sshd_settings *settings);

#define cleanup_sshd __attribute__((cleanup(sshd_free)))

/* Whether one of the patterns ("*" and "?", divided by blanks or commas, a "!" in
 * front is passed over) lets a variable through by which code can be made to run in
 * a login shell or a program: LD_PRELOAD, BASH_ENV ... *name says which. */
bool sshd_lets_through(const char *patterns, const char **name);

/* Whether the value of ForceCommand or Subsystem is sshd's own sftp. */
bool sshd_is_internal_sftp(const char *command);

#endif
