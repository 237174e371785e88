#include "config.h"

#include "policy/configuration.h"

#include "base/file.h"
#include "base/text.h"
#include "policy/scrub.h"
#include "policy/value.h"

#include <confuse.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CONFIG_MOST (1024 * 1024)

/* Duplicates are looked for one by one, so that a list must end somewhere. */
#define LIST_MOST 1024

/* A bit of cfg_opt_t's flags that libconfuse leaves alone: has a value of the
 * file's. */
#define FLAG_SAID (1 << 24)

struct config {
    char *path;
    cfg_t *root;
};

struct parse {
    const char *path;
    struct error *error; /* the first one */
};

/* libconfuse's callbacks get no pointer of ours: the parse that is under way. It
 * is set in config_parse() only, and NULL again when that returns. */
static struct parse *current;

__attribute__((format(printf, 2, 0))) static void store_error(cfg_t *cfg, const char *fmt,
                                                              va_list ap)
{
    cleanup_string char *message = NULL;
    cleanup_text struct text shown = {0};

    if (!current || current->error)
        return;
    if (vasprintf(&message, fmt, ap) < 0)
        message = NULL;
    text_escape(&shown, message ? message : "out of memory", 200);
    error_set(&current->error, 0, "%s:%d: %s", current->path, cfg->line, text_str(&shown));
}

static const struct option *option_find(const char *section, const char *name)
{
    const struct option *table = options_session;

    if (strcmp(section, "root") == 0)
        table = options_top;
    else if (strcmp(section, "engine") == 0)
        table = options_engine;
    while (table->name && strcmp(table->name, name) != 0)
        table++;
    return table->name ? table : NULL;
}

/* libconfuse's parse callback of every option: the check, while the line is
 * known. */
static int value_parse(cfg_t *cfg, cfg_opt_t *opt, const char *value, void *result)
{
    const struct option *option = option_find(cfg_name(cfg), opt->name);
    struct config_value **out = result;
    struct error **err = &current->error;
    cleanup_text struct text shown = {0};

    if (*err)
        return -1;
    if (!option)
        return error_set(err, 0, "%s:%d: no option \"%s\"", current->path, cfg->line, opt->name);
    /* "=" has thrown the former values away by now; with "+=" they are there. */
    if (opt->flags & FLAG_SAID && opt->nvalues <= 1)
        return error_set(err, 0, "%s:%d: %s is said twice in one section%s", current->path,
                         cfg->line, opt->name, option->list ? "; \"+=\" adds to a list" : "");
    opt->flags |= FLAG_SAID;
    if (opt->nvalues > LIST_MOST)
        return error_set(err, 0, "%s:%d: %s: more than %d values", current->path, cfg->line,
                         opt->name, LIST_MOST);
    if (option_check(option, value, current->path, err) < 0) {
        text_escape(&shown, value, 64);
        return error_wrap(err, "%s:%d: %s \"%s\"", current->path, cfg->line, opt->name,
                          text_str(&shown));
    }
    size_t size = strlen(value) + 1;
    struct config_value *kept = malloc(sizeof *kept + size);
    if (!kept)
        return error_set(err, ENOMEM, "%s:%d", current->path, cfg->line);
    kept->line = (unsigned)cfg->line;
    memcpy(kept->text, value, size);
    *out = kept;
    return 0;
}

/* Called at a user or group section's end. */
static int title_check(cfg_t *cfg, cfg_opt_t *opt)
{
    const char *title = cfg_title(cfg_opt_getnsec(opt, cfg_opt_size(opt) - 1));

    if (!title || title[0] == '\0')
        return error_set(&current->error, 0,
                         "%s:%d: the %s section that ends here has an empty "
                         "name: give a %s name or a pattern, as in "
                         "\"student-*\"",
                         current->path, cfg->line, opt->name,
                         strcmp(opt->name, "user") == 0 ? "login's" : "group's");
    struct error *why = NULL;
    if (value_text(title, false, &why) < 0) {
        cleanup_text struct text shown = {0};
        text_escape(&shown, title, 64);
        error_wrap(&why, "%s:%d: %s \"%s\"", current->path, cfg->line, opt->name, text_str(&shown));
        current->error = why;
        return -1;
    }
    return 0;
}

/* libconfuse's table for one of ours; `more` entries are left for the caller
 * before the end. The caller frees it; libconfuse copies it. */
static cfg_opt_t *table_new(const struct option *options, size_t more)
{
    static const cfg_opt_t end = CFG_END();
    size_t count = 0;

    while (options[count].name)
        count++;
    cfg_opt_t *table = calloc(count + more + 1, sizeof *table);
    if (!table)
        return NULL;
    for (size_t i = 0; i < count; i++) {
        const char *name = options[i].name;
        cfg_opt_t scalar = CFG_PTR_CB(name, NULL, CFGF_NODEFAULT, value_parse, free);
        cfg_opt_t list = CFG_PTR_LIST_CB(name, NULL, CFGF_NODEFAULT, value_parse, free);
        table[i + more] = options[i].list ? list : scalar;
    }
    table[count + more] = end;
    return table;
}

static cfg_t *root_new(void)
{
    cfg_opt_t *engine = table_new(options_engine, 0);
    cfg_opt_t *session = table_new(options_session, 0);
    cfg_opt_t *top = table_new(options_top, 4);
    cfg_t *root = NULL;

    if (engine && session && top) {
        cfg_opt_t sections[] = {
            CFG_SEC("engine", engine, CFGF_NONE),
            CFG_SEC("defaults", session, CFGF_NONE),
            CFG_SEC("group", session, CFGF_MULTI | CFGF_TITLE | CFGF_NO_TITLE_DUPES),
            CFG_SEC("user", session, CFGF_MULTI | CFGF_TITLE | CFGF_NO_TITLE_DUPES),
        };
        memcpy(top, sections, sizeof sections);
        root = cfg_init(top, CFGF_NONE);
    }
    free(engine);
    free(session);
    free(top);
    return root;
}

static int root_parse(cfg_t *root, char *data, size_t len, struct error **err)
{
    struct parse parse = {.path = root->filename};
    int result = CFG_SUCCESS;

    /* fmemopen() refuses to open nothing; nothing is a valid file. */
    FILE *file = len > 0 ? fmemopen(data, len, "r") : NULL;
    if (!file && len > 0)
        return error_set(err, errno, "%s: cannot read", root->filename);
    cfg_set_error_function(root, store_error);
    cfg_set_validate_func(root, "group", title_check);
    cfg_set_validate_func(root, "user", title_check);
    current = &parse;
    if (file)
        result = cfg_parse_fp(root, file);
    current = NULL;
    if (file)
        fclose(file);
    if (parse.error) {
        *err = parse.error;
        return -1;
    }
    if (result != CFG_SUCCESS)
        return error_set(err, 0, "%s:%d: cannot be parsed", root->filename, root->line);
    return 0;
}

struct config *config_parse(const char *path, char *data, size_t len, struct error **err)
{
    if (scrub_text(path, data, len, err) < 0)
        return NULL;
    struct config *config = calloc(1, sizeof *config);
    if (!config || !(config->root = root_new()) || !(config->path = strdup(path)) ||
        !(config->root->filename = strdup(path)))
        error_set(err, ENOMEM, "%s", path);
    else if (root_parse(config->root, data, len, err) == 0)
        return config;
    config_free(config);
    return NULL;
}

struct config *config_load(const char *path, struct error **err)
{
    size_t len;

    cleanup_string char *data = file_read_trusted(path, TRUST_PUBLIC, CONFIG_MOST, &len, err);
    return data ? config_parse(path, data, len, err) : NULL;
}

void config_free(struct config *config)
{
    if (!config)
        return;
    if (config->root)
        cfg_free(config->root);
    free(config->path);
    free(config);
}

/* struct config_section is libconfuse's cfg_t under a name that says nothing. */
static cfg_t *section_cfg(const struct config_section *section)
{
    return (cfg_t *)(uintptr_t)section;
}

const char *config_path(const struct config *config)
{
    return config->path;
}

const struct config_section *config_top(const struct config *config)
{
    return (const struct config_section *)config->root;
}

const struct config_section *config_engine(const struct config *config)
{
    return (const struct config_section *)cfg_getsec(config->root, "engine");
}

const struct config_section *config_defaults(const struct config *config)
{
    return (const struct config_section *)cfg_getsec(config->root, "defaults");
}

const struct config_section *config_titled(const struct config *config, enum config_kind kind,
                                           size_t index)
{
    const char *name = kind == CONFIG_GROUP ? "group" : "user";

    if (index >= cfg_size(config->root, name))
        return NULL;
    return (const struct config_section *)cfg_getnsec(config->root, name, (unsigned)index);
}

const char *config_name(const struct config_section *section)
{
    return cfg_name(section_cfg(section));
}

const char *config_title(const struct config_section *section)
{
    return cfg_title(section_cfg(section));
}

bool config_said(const struct config_section *section, const struct option *option)
{
    return cfg_getopt(section_cfg(section), option->name)->flags & CFGF_MODIFIED;
}

const struct config_value *config_value(const struct config_section *section,
                                        const struct option *option, size_t index)
{
    cfg_opt_t *opt = cfg_getopt(section_cfg(section), option->name);

    return index < cfg_opt_size(opt) ? cfg_opt_getnptr(opt, (unsigned)index) : NULL;
}
