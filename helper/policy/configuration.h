/* berth.conf as a tree of sections and values, each checked already, none
 * expanded. Nothing else knows of libconfuse. */
#ifndef BERTH_POLICY_CONFIGURATION_H
#define BERTH_POLICY_CONFIGURATION_H

#include "base/error.h"
#include "policy/option.h"

#include <stdbool.h>
#include <stddef.h>

struct config;
struct config_section;

struct config_value {
    unsigned line;
    char text[];
};

/* Reads and checks the whole file; `path` as in file_open_trusted(). NULL with an
 * error "FILE:LINE: ..." otherwise; config_free() frees. */
struct config *config_load(const char *path, struct error **err);
/* The same for text that was read already and that it may change; `path` is for
 * messages and for the files that the text names. */
struct config *config_parse(const char *path, char *data, size_t len, struct error **err);
void config_free(struct config *config);

/* All below live as long as the config. A section that the file doesn't have is
 * there all the same, with nothing said in it. */
const char *config_path(const struct config *config);
const struct config_section *config_top(const struct config *config);
const struct config_section *config_engine(const struct config *config);
const struct config_section *config_defaults(const struct config *config);
/* The sections of one kind in file order; NULL past the last. */
enum config_kind { CONFIG_GROUP, CONFIG_USER };
const struct config_section *config_titled(const struct config *config, enum config_kind kind,
                                           size_t index);
/* Its kind as the file has it ("defaults", "user"), and its title; NULL where it has
 * none. */
const char *config_name(const struct config_section *section);
const char *config_title(const struct config_section *section);

/* Whether the option stands in the section, be it as an empty list. */
bool config_said(const struct config_section *section, const struct option *option);
/* Its values; a scalar has one. NULL past the last. */
const struct config_value *config_value(const struct config_section *section,
                                        const struct option *option, size_t index);

static inline void cleanup_config_ptr(struct config **c)
{
    config_free(*c);
    *c = NULL;
}
#define cleanup_config __attribute__((cleanup(cleanup_config_ptr)))

#endif
