#include "config.h"

#include "check/pam.h"

#include "base/file.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FILE_MAX = 256 * 1024, DEPTH_MAX = 16, ENTRIES_MAX = 2000, WORDS_MAX = 128 };

/* One file that is being read. */
struct reading {
    struct stacks *stacks;
    const char *dir;
    const char *file;
    enum stack_type only; /* STACK_TYPES: all of its lines count */
    unsigned level, depth, line;
};

const char *stack_type_name(enum stack_type type)
{
    static const char *const names[] = {"auth", "account", "password", "session"};

    return names[type];
}

static char *read_file(const char *path, struct error **err)
{
    struct stat st;
    cleanup_text struct text text = {0};
    cleanup_fd int fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    char bytes[8192];
    ssize_t n;

    if (fd < 0 || fstat(fd, &st) < 0) {
        error_set(err, errno, "%s: cannot read", path);
        return NULL;
    }
    if (!S_ISREG(st.st_mode) || st.st_size > FILE_MAX) {
        error_set(err, 0, "%s: not a regular file of at most %d bytes", path, FILE_MAX);
        return NULL;
    }
    while ((n = read(fd, bytes, sizeof bytes)) > 0 && text.len < FILE_MAX)
        text_add(&text, bytes, (size_t)n);
    if (n < 0)
        error_set(err, errno, "%s: cannot read", path);
    else if (text.len > 0 && memchr(text.data, '\0', text.len))
        error_set(err, 0, "%s: has a NUL byte", path);
    if (*err)
        return NULL;
    char *taken = text_take(&text);
    if (!taken)
        error_set(err, ENOMEM, "%s", path);
    return taken;
}

/* The next line with those that it continues on; NULL at the end. Changes the text. */
static char *next_line(char **at, unsigned *number)
{
    char *line = *at, *to = line;

    if (*line == '\0')
        return NULL;
    ++*number;
    for (char *c = line; *c && *c != '\n'; c++) {
        if (c[0] == '\\' && c[1] == '\n') {
            *to++ = ' ';
            c++;
            ++*number;
        } else {
            *to++ = *c;
        }
        *at = c + 1;
    }
    if (**at == '\n')
        ++*at;
    *to = '\0';
    for (char *c = line; *c; c++)
        if (*c == '#' && (c == line || c[-1] != '\\')) {
            *c = '\0';
            break;
        }
    return line;
}

/* Blanks divide; what stands in [] is one word, and "\]" no end of it. */
static char *next_word(char **at)
{
    char *word = *at + strspn(*at, " \t\r"), *c;

    if (*word == '\0')
        return NULL;
    if (*word == '[') {
        for (c = word + 1; *c && *c != ']'; c++)
            if (c[0] == '\\' && c[1] == ']')
                c++;
        c += *c == ']';
    } else {
        c = word + strcspn(word, " \t\r");
    }
    *at = *c ? c + 1 : c;
    *c = '\0';
    return word;
}

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash ? slash + 1 : path;
}

static int entry_add(const struct reading *r, enum stack_type type, bool lenient,
                     const char *control, const char *module, char *arguments, struct error **err)
{
    struct stack *stack = &r->stacks->types[type];
    struct stack_entry *bigger = NULL;
    char *word;

    if (stack->count >= ENTRIES_MAX)
        return error_set(err, 0, "%s:%u: more than %d modules", r->file, r->line, ENTRIES_MAX);
    bigger = reallocarray(stack->entries, stack->count + 1, sizeof *bigger);
    if (!bigger)
        return error_set(err, ENOMEM, "%s", r->file);
    stack->entries = bigger;
    struct stack_entry *e = &bigger[stack->count++];
    *e = (struct stack_entry){.level = r->level,
                              .control = strdup(control),
                              .module = module ? strdup(base_name(module)) : NULL,
                              .lenient = lenient,
                              .file = strdup(r->file),
                              .line = r->line};
    bool whole = e->control && e->file && (!module || e->module);
    while (whole && arguments && (word = next_word(&arguments)))
        whole = e->arguments.count < WORDS_MAX && strings_add(&e->arguments, word) == 0;
    return whole ? 0 : error_set(err, ENOMEM, "%s:%u", r->file, r->line);
}

static int read_stack(const struct reading *r, const char *name, enum stack_type only,
                      unsigned level, struct error **err);

static int type_of(const char *word)
{
    word += *word == '-';
    for (int type = 0; type < STACK_TYPES; type++)
        if (strcasecmp(word, stack_type_name((enum stack_type)type)) == 0)
            return type;
    return -1;
}

static int read_entry(const struct reading *r, enum stack_type type, bool lenient, char *rest,
                      struct error **err)
{
    const char *control = next_word(&rest), *module = next_word(&rest);

    if (!control || !module)
        return error_set(err, 0, "%s:%u: a line without a %s", r->file, r->line,
                         control ? "module" : "control");
    if (r->only != STACK_TYPES && r->only != type)
        return 0;
    if (strcasecmp(control, "include") == 0)
        return read_stack(r, module, type, r->level, err);
    if (strcasecmp(control, "substack") != 0)
        return entry_add(r, type, lenient, control, module, rest, err);
    if (entry_add(r, type, lenient, "substack", NULL, NULL, err) < 0)
        return -1;
    return read_stack(r, module, type, r->level + 1, err);
}

static int read_line(const struct reading *r, char *line, struct error **err)
{
    const char *first = next_word(&line);

    if (!first)
        return 0;
    if (strcasecmp(first, "@include") == 0) {
        const char *name = next_word(&line);
        if (!name)
            return error_set(err, 0, "%s:%u: @include of nothing", r->file, r->line);
        return read_stack(r, name, r->only, r->level, err);
    }
    int type = type_of(first);
    if (type < 0)
        return error_set(err, 0, "%s:%u: is no line of a PAM stack", r->file, r->line);
    return read_entry(r, (enum stack_type)type, first[0] == '-', line, err);
}

static int read_stack(const struct reading *r, const char *name, enum stack_type only,
                      unsigned level, struct error **err)
{
    cleanup_string char *path = name[0] == '/' ? strdup(name) : text_format("%s/%s", r->dir, name);
    struct reading inner = {.stacks = r->stacks,
                            .dir = r->dir,
                            .file = path,
                            .only = only,
                            .level = level,
                            .depth = r->depth + 1};

    if (!path)
        return error_set(err, ENOMEM, "%s", name);
    if (inner.depth > DEPTH_MAX)
        return error_set(err, 0, "%s:%u: more than %d files include one another", r->file, r->line,
                         DEPTH_MAX);
    cleanup_string char *text = read_file(path, err);
    char *at = text, *line;
    unsigned number = 0;
    if (!text)
        return r->file ? error_wrap(err, "%s:%u", r->file, r->line) : -1;
    for (inner.line = 1; (line = next_line(&at, &number)); inner.line = number + 1)
        if (read_line(&inner, line, err) < 0)
            return -1;
    return 0;
}

int stacks_read(struct stacks *stacks, const char *dir, const char *service, struct error **err)
{
    const struct reading r = {.stacks = stacks, .dir = dir};

    *stacks = (struct stacks){.file = text_format("%s/%s", dir, service)};
    if (!stacks->file)
        return error_set(err, ENOMEM, "%s", service);
    return read_stack(&r, service, STACK_TYPES, 0, err);
}

void stacks_free(struct stacks *stacks)
{
    for (int type = 0; type < STACK_TYPES; type++) {
        struct stack *stack = &stacks->types[type];
        for (size_t i = 0; i < stack->count; i++) {
            free(stack->entries[i].control);
            free(stack->entries[i].module);
            free(stack->entries[i].file);
            strings_free(&stack->entries[i].arguments);
        }
        free(stack->entries);
    }
    free(stacks->file);
    *stacks = (struct stacks){0};
}

size_t stack_find(const struct stack *stack, const char *module, size_t from)
{
    while (from < stack->count &&
           (!stack->entries[from].module || strcmp(stack->entries[from].module, module) != 0))
        from++;
    return from;
}

const char *stack_argument(const struct stack_entry *entry, const char *name)
{
    size_t len = strlen(name);

    for (size_t i = entry->arguments.count; i-- > 0;) {
        const char *a = entry->arguments.items[i];
        if (strncmp(a, name, len) == 0 && a[len] == '=')
            return a + len + 1;
    }
    return NULL;
}

bool stack_has_word(const struct stack_entry *entry, const char *word)
{
    for (size_t i = 0; i < entry->arguments.count; i++)
        if (strcmp(entry->arguments.items[i], word) == 0)
            return true;
    return false;
}

/* "success=1"; what is longer than any that there is is "". */
struct action {
    char value[24], action[16];
};

static void take_word(char *to, size_t size, const char *from, size_t len)
{
    len = len < size ? len : 0;
    memcpy(to, from, len);
    to[len] = '\0';
}

/* The next one of "[success=1 default=ignore]", at whose '[' `at` begins. False at the
 * end. */
static bool next_action(const char **at, struct action *a)
{
    const char *c = *at + (**at == '[');

    c += strspn(c, " \t");
    size_t word = strcspn(c, " \t]"), value = strcspn(c, "= \t]"), eq = value < word;
    *at = c + word;
    take_word(a->value, sizeof a->value, c, value);
    take_word(a->action, sizeof a->action, c + value + eq, word - value - eq);
    return word > 0;
}

/* What it does where the module says `value`; "" where that isn't told. */
static void action_for(const struct stack_entry *entry, const char *value, char action[16])
{
    const char *at = entry->control;
    struct action a;
    bool named = false;

    action[0] = '\0';
    if (strcasecmp(at, "sufficient") == 0 && strcmp(value, "success") == 0)
        memcpy(action, "done", sizeof "done");
    while (entry->control[0] == '[' && next_action(&at, &a)) {
        bool is = strcasecmp(a.value, value) == 0;
        if (is || (!named && strcasecmp(a.value, "default") == 0))
            memcpy(action, a.action, sizeof a.action);
        named = named || is;
    }
}

/* Where a jump over `left` modules from `at` comes to: its last one that is left out.
 * A substack is one module (libpam's _pam_dispatch_aux). */
static size_t jump(const struct stack *stack, size_t at, unsigned long left)
{
    const struct stack_entry *e = stack->entries;
    const unsigned level = e[at].level;

    while (left-- > 0 && at + 1 < stack->count && e[at + 1].level >= level) {
        at++;
        while (at + 1 < stack->count && e[at + 1].level > level)
            at++;
    }
    return at;
}

/* A substack's end is not the stack's. */
static bool same_block(const struct stack *stack, size_t first, size_t last)
{
    for (size_t i = first + 1; i <= last; i++)
        if (stack->entries[i].level < stack->entries[first].level)
            return false;
    return true;
}

static bool jumps_over(const struct stack *stack, size_t at, size_t index, const char *action)
{
    char *end;
    unsigned long number = strtoul(action, &end, 10);

    return isdigit((unsigned char)action[0]) && *end == '\0' && jump(stack, at, number) >= index;
}

static bool ends_before(const struct stack *stack, size_t at, size_t index, const char *action)
{
    return strcasecmp(action, "done") == 0 && same_block(stack, at, index);
}

const struct stack_entry *stack_skips(const struct stack *stack, size_t index)
{
    char action[16];

    for (size_t i = 0; i < index; i++) {
        if (!stack->entries[i].module)
            continue;
        action_for(&stack->entries[i], "success", action);
        if (jumps_over(stack, i, index, action) || ends_before(stack, i, index, action))
            return &stack->entries[i];
    }
    return NULL;
}

/* "done" of a failure ends the stack with it (libpam's _pam_dispatch_aux). */
const struct stack_entry *stack_may_skip(const struct stack *stack, size_t index)
{
    const struct stack_entry *skips = stack_skips(stack, index);
    char action[16];

    for (size_t i = 0; i < index && &stack->entries[i] != skips; i++) {
        const struct stack_entry *e = &stack->entries[i];
        const char *at = e->control;
        struct action a;
        if (!e->module || e->control[0] != '[')
            continue;
        action_for(e, "ignore", action);
        if (ends_before(stack, i, index, action))
            return e;
        while (next_action(&at, &a))
            if (jumps_over(stack, i, index, a.action))
                return e;
    }
    return skips;
}

/* "reset" takes back what was said since its block began. */
const struct stack_entry *stack_forgets(const struct stack *stack, size_t index)
{
    unsigned level = stack->count ? stack->entries[index].level : 0;

    for (size_t i = index + 1; i < stack->count; i++) {
        const struct stack_entry *e = &stack->entries[i];
        const char *at = e->control;
        struct action a;
        level = e->level < level ? e->level : level;
        while (e->level == level && e->control[0] == '[' && next_action(&at, &a))
            if (strcasecmp(a.action, "reset") == 0)
                return e;
    }
    return NULL;
}

static bool is_bad(const char *action)
{
    return strcasecmp(action, "bad") == 0 || strcasecmp(action, "die") == 0;
}

bool stack_entry_counts(const struct stack_entry *entry)
{
    static const char *const fine[] = {"success", "new_authtok_reqd", "ignore"};
    const char *at = entry->control;
    struct action a;
    bool told = false;

    if (entry->control[0] != '[')
        return strcasecmp(entry->control, "required") == 0 ||
               strcasecmp(entry->control, "requisite") == 0;
    while (next_action(&at, &a)) {
        bool is_fine = false;
        for (size_t i = 0; i < sizeof fine / sizeof *fine; i++)
            is_fine = is_fine || strcasecmp(a.value, fine[i]) == 0;
        if (!is_fine && !is_bad(a.action))
            return false;
        told = told || strcasecmp(a.value, "default") == 0;
    }
    return told;
}
