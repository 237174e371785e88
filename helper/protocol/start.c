#include "config.h"

#include "protocol/start.h"

#include "protocol/message.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* speed_t is a code on some C libraries and a number on others. */
static const struct {
    uint32_t bits;
    speed_t code;
} speeds[] = {
    {0, B0},
    {50, B50},
    {75, B75},
    {110, B110},
    {134, B134},
    {150, B150},
    {200, B200},
    {300, B300},
    {600, B600},
    {1200, B1200},
    {1800, B1800},
    {2400, B2400},
    {4800, B4800},
    {9600, B9600},
    {19200, B19200},
    {38400, B38400},
    {57600, B57600},
    {115200, B115200},
    {230400, B230400},
    {460800, B460800},
    {500000, B500000},
    {576000, B576000},
    {921600, B921600},
    {1000000, B1000000},
    {1152000, B1152000},
    {1500000, B1500000},
    {2000000, B2000000},
    {2500000, B2500000},
    {3000000, B3000000},
    {3500000, B3500000},
    {4000000, B4000000},
};

/* A PTY has no speed but the one that stty(1) shows: what isn't in the table is
 * what a PTY begins with. */
static const uint32_t speed_default = 38400;

static uint32_t speed_bits(speed_t code)
{
    for (size_t i = 0; i < sizeof speeds / sizeof speeds[0]; i++)
        if (speeds[i].code == code)
            return speeds[i].bits;
    return speed_default;
}

static speed_t speed_code(uint32_t bits)
{
    for (size_t i = 0; i < sizeof speeds / sizeof speeds[0]; i++)
        if (speeds[i].bits == bits)
            return speeds[i].code;
    return B38400;
}

/* What both sides ask of a session, whoever made it. */
static const char *start_check(const struct start *s)
{
    const size_t args = s->argv.count, programs = s->programs.count;

    switch (s->kind) {
    case START_LOGIN:
    case START_WARM:
    case START_COMMAND:
        if (args != (s->kind == START_COMMAND ? 1 : 0) || programs > 0 || s->missing[0])
            return "START: arguments that its kind doesn't have";
        break;
    case START_PROGRAM:
        if (programs < 1 || programs > START_PROGRAMS_MAX)
            return "START: no programs, or too many";
        break;
    default:
        return "START: of an unknown kind";
    }
    if (s->umask > 0777)
        return "START: no umask";
    for (size_t i = 0; i < programs; i++)
        if (s->programs.items[i][0] != '/')
            return "START: a program's path is not absolute";
    if (s->shell[0] && s->shell[0] != '/')
        return "START: the shell's path is not absolute";
    for (size_t i = 0; i < s->env.count; i++)
        if (s->env.items[i][0] == '=' || !strchr(s->env.items[i], '='))
            return "START: a variable without a name";
    return NULL;
}

struct writer {
    struct text *payload;
    const char *why;
};

static void put(struct writer *w, uint32_t n, int bytes)
{
    while (bytes-- > 0) {
        char byte = (char)(n >> 8 * bytes);
        text_add(w->payload, &byte, 1);
    }
}

static void put_string(struct writer *w, const char *s)
{
    size_t len = strlen(s);

    if (len > MESSAGE_STRING_MAX) {
        w->why = "an argument or variable is too long: 128 KiB are the most";
        return;
    }
    put(w, (uint32_t)len, 4);
    text_add(w->payload, s, len);
}

static void put_list(struct writer *w, const struct strings *list)
{
    if (list->count > MESSAGE_LIST_MAX) {
        w->why = "too many arguments or variables";
        return;
    }
    put(w, (uint32_t)list->count, 4);
    for (size_t i = 0; i < list->count && !w->why; i++)
        put_string(w, list->items[i]);
}

static void put_terminal(struct writer *w, const struct start *s)
{
    const struct termios *t = &s->termios;
    const unsigned count = NCCS < START_CC_MAX ? NCCS : START_CC_MAX;

    put(w, s->window.ws_row, 2);
    put(w, s->window.ws_col, 2);
    put(w, t->c_iflag, 4);
    put(w, t->c_oflag, 4);
    put(w, t->c_cflag, 4);
    put(w, t->c_lflag, 4);
    put(w, speed_bits(cfgetispeed(t)), 4);
    put(w, speed_bits(cfgetospeed(t)), 4);
    put(w, count, 1);
    for (unsigned i = 0; i < count; i++)
        put(w, t->c_cc[i], 1);
}

int start_write(struct text *payload, const struct start *start, const char **why)
{
    struct writer w = {.payload = payload, .why = start_check(start)};
    const size_t before = payload->len;

    if (!w.why) {
        put(&w, start->kind, 1);
        put(&w, start->tty, 1);
        put_string(&w, start->shell);
        put_string(&w, start->cwd);
        put(&w, start->umask, 2);
        put_list(&w, &start->argv);
        put_list(&w, &start->programs);
        put_string(&w, start->missing);
        put_list(&w, &start->env);
        if (start->tty)
            put_terminal(&w, start);
    }
    if (!w.why && payload->failed)
        w.why = "out of memory";
    if (!w.why && payload->len - before > MESSAGE_PAYLOAD_MAX)
        w.why = "the command and its environment are too long: 2 MiB are the most";
    *why = w.why;
    return w.why ? -1 : 0;
}

struct reader {
    const char *at;
    size_t left;
    const char *why; /* once set, every get gives 0 */
};

static uint32_t get(struct reader *r, unsigned bytes)
{
    uint32_t n = 0;

    if (r->why || r->left < bytes) {
        r->why = r->why ? r->why : "START: cut off";
        return 0;
    }
    r->left -= bytes;
    while (bytes-- > 0)
        n = n << 8 | (unsigned char)*r->at++;
    return n;
}

/* NULL where `why` is set. */
static char *get_string(struct reader *r)
{
    uint32_t len = get(r, 4);

    if (r->why)
        return NULL;
    if (len > MESSAGE_STRING_MAX)
        r->why = "START: a string is too long";
    else if (len > r->left)
        r->why = "START: cut off";
    else if (memchr(r->at, '\0', len))
        r->why = "START: a NUL in a string";
    if (r->why)
        return NULL;
    char *s = strndup(r->at, len);
    if (!s)
        r->why = "out of memory";
    r->at += len;
    r->left -= len;
    return s;
}

static void get_list(struct reader *r, struct strings *list)
{
    uint32_t count = get(r, 4);

    if (count > MESSAGE_LIST_MAX || count > r->left / 4)
        r->why = r->why ? r->why : "START: a list is too long";
    for (uint32_t i = 0; i < count && !r->why; i++) {
        char *s = get_string(r);
        if (s && strings_take(list, s) < 0)
            r->why = "out of memory";
    }
}

static void get_terminal(struct reader *r, struct start *s)
{
    struct termios *t = &s->termios;

    s->window.ws_row = (unsigned short)get(r, 2);
    s->window.ws_col = (unsigned short)get(r, 2);
    t->c_iflag = get(r, 4);
    t->c_oflag = get(r, 4);
    t->c_cflag = get(r, 4);
    t->c_lflag = get(r, 4);
    cfsetispeed(t, speed_code(get(r, 4)));
    cfsetospeed(t, speed_code(get(r, 4)));
    uint32_t count = get(r, 1);
    if (count > START_CC_MAX)
        r->why = r->why ? r->why : "START: too many control characters";
    for (uint32_t i = 0; i < count && !r->why; i++) {
        cc_t c = (cc_t)get(r, 1);
        if (i < NCCS)
            t->c_cc[i] = c;
    }
}

int start_read(struct start *start, const char *payload, size_t len, const char **why)
{
    struct reader r = {.at = payload, .left = len};

    *start = (struct start){0};
    start->kind = (enum start_kind)get(&r, 1);
    uint32_t tty = get(&r, 1);
    start->tty = tty == 1;
    start->shell = get_string(&r);
    start->cwd = get_string(&r);
    start->umask = get(&r, 2);
    get_list(&r, &start->argv);
    get_list(&r, &start->programs);
    start->missing = get_string(&r);
    get_list(&r, &start->env);
    if (start->tty)
        get_terminal(&r, start);
    if (!r.why && tty > 1)
        r.why = "START: neither with a terminal nor without";
    if (!r.why && r.left > 0)
        r.why = "START: bytes left over";
    if (!r.why)
        r.why = start_check(start);
    *why = r.why;
    if (r.why) {
        start_clear(start);
        return -1;
    }
    return 0;
}

void start_clear(struct start *start)
{
    free(start->shell);
    free(start->cwd);
    free(start->missing);
    strings_free(&start->argv);
    strings_free(&start->programs);
    strings_free(&start->env);
    *start = (struct start){0};
}
