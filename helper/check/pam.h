/* The stacks of modules that PAM runs for a service (pam.d(5)). */
#ifndef BERTH_CHECK_PAM_H
#define BERTH_CHECK_PAM_H

#include "base/error.h"
#include "base/text.h"

#include <stdbool.h>
#include <stddef.h>

enum stack_type { STACK_AUTH, STACK_ACCOUNT, STACK_PASSWORD, STACK_SESSION, STACK_TYPES };

struct stack_entry {
    unsigned level; /* how many substacks deep */
    char *control;  /* "required", "[success=1 default=ignore]", or "substack" */
    char *module;   /* its file's name without folders; NULL for a substack itself */
    bool lenient;   /* "-session": as if it weren't there, where the module's file isn't */
    struct strings arguments;
    char *file;
    unsigned line;
};

struct stack {
    struct stack_entry *entries;
    size_t count;
};

struct stacks {
    struct stack types[STACK_TYPES];
    char *file; /* the service's own */
};

/* Reads DIR/SERVICE with all that it includes. A file that isn't there, or a line
 * that is none, is an error: PAM refuses all logins over that. */
int stacks_read(struct stacks *stacks, const char *dir, const char *service, struct error **err);
void stacks_free(struct stacks *stacks);

#define cleanup_stacks __attribute__((cleanup(stacks_free)))

/* "auth", "account", "password", "session". */
const char *stack_type_name(enum stack_type type);
/* The first entry of the module from `from` on, or its count. */
size_t stack_find(const struct stack *stack, const char *module, size_t from);
/* The value of an argument "name=value", the last one's; NULL where there is none. */
const char *stack_argument(const struct stack_entry *entry, const char *name);
/* Whether it has this word for an argument. */
bool stack_has_word(const struct stack_entry *entry, const char *word);
/* The first entry before `index` whose success (or default) ends the stack or jumps
 * over it; NULL: it always has its turn where nothing fails. */
const struct stack_entry *stack_skips(const struct stack *stack, size_t index);
/* The same of all that it may say: failure too can jump, and what says "ignore" can
 * end the stack. NULL: where it has no turn, the stack has failed. */
const struct stack_entry *stack_may_skip(const struct stack *stack, size_t index);
/* The first entry after `index` that can have the stack forget that it failed there. */
const struct stack_entry *stack_forgets(const struct stack *stack, size_t index);
/* Whether its failure, whichever it is, is the stack's. */
bool stack_entry_counts(const struct stack_entry *entry);

#endif
