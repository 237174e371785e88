#include "config.h"

#include "base/error.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct error {
    enum error_kind kind;
    char *text;
};

/* What stands in for an error that no memory was left to tell. */
static struct error out_of_memory = {ERROR_OTHER, (char *)"out of memory"};

static void error_store(struct error **err, enum error_kind kind, char *text)
{
    struct error *e = text ? malloc(sizeof *e) : NULL;

    if (!e) {
        free(text);
        *err = &out_of_memory;
        return;
    }
    e->kind = kind;
    e->text = text;
    *err = e;
}

__attribute__((format(printf, 1, 0))) static char *vformat(const char *fmt, va_list ap)
{
    char *text = NULL;

    if (vasprintf(&text, fmt, ap) < 0)
        return NULL;
    return text;
}

int error_set(struct error **err, int errnum, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    char *text = vformat(fmt, ap);
    va_end(ap);
    if (text && errnum) {
        char *both = NULL;
        if (asprintf(&both, "%s: %s", text, strerror(errnum)) < 0)
            both = NULL;
        free(text);
        text = both;
    }
    error_store(err, errnum == ENOENT ? ERROR_NOT_FOUND : ERROR_OTHER, text);
    return -1;
}

int error_set_kind(struct error **err, enum error_kind kind, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    error_store(err, kind, vformat(fmt, ap));
    va_end(ap);
    return -1;
}

int error_wrap(struct error **err, const char *fmt, ...)
{
    va_list ap;

    if (!*err || *err == &out_of_memory)
        return -1;
    va_start(ap, fmt);
    char *context = vformat(fmt, ap);
    va_end(ap);
    char *both = NULL;
    if (!context || asprintf(&both, "%s: %s", context, (*err)->text) < 0)
        both = NULL;
    free(context);
    if (both) {
        free((*err)->text);
        (*err)->text = both;
    }
    return -1;
}

const char *error_text(const struct error *err)
{
    return err ? err->text : "no error";
}

enum error_kind error_kind(const struct error *err)
{
    return err ? err->kind : ERROR_OTHER;
}

void error_clear(struct error **err)
{
    if (*err && *err != &out_of_memory) {
        free((*err)->text);
        free(*err);
    }
    *err = NULL;
}
