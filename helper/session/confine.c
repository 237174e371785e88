#include "config.h"

#include "session/confine.h"

#include "base/process.h"
#include "session/filter.h"
#include "session/landlock.h"

#include <stdlib.h>
#include <string.h>
#include <syslog.h>

/* A sanitizer reads /proc, maps its shadow and runs a symbolizer when it has found
 * something: it would die of that, and not say what it was. And gcov writes files as the
 * process ends. */
#if defined(__SANITIZE_ADDRESS__) || defined(COVERAGE)
#define INSTRUMENTED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define INSTRUMENTED 1
#endif
#endif
#ifndef INSTRUMENTED
#define INSTRUMENTED 0
#endif

/* Of an answer that is too long for a datagram. */
enum { PORT_DNS = 53 };

static int confine_files(const struct session *s, bool *there, struct error **err)
{
    static const char *const none[] = {NULL};
    static const char *const here[] = {"/proc"}; /* whose process is the command's */
    const struct http_target *t = &s->target;
    /* libcurl makes a new connection where the old one is a while unused. */
    const char *const far[] = {"/etc", "/run", t->tls_ca, t->tls_cert, t->tls_key};
    struct landlock landlock = {.readable = none};

    if (!s->direct && t->host) {
        const char *port = strrchr(t->host, ':');
        landlock = (struct landlock){far, sizeof far / sizeof *far, {0, PORT_DNS}};
        landlock.ports[0] = port ? (unsigned)strtoul(port + 1, NULL, 10) : 0;
    } else if (!s->direct) {
        landlock = (struct landlock){.readable = here, .readable_count = 1};
    }
    return landlock_confine(&landlock, there, err);
}

#ifdef HAVE_SECCOMP
static int confine_relay_calls(bool *there, struct error **err)
{
    return filter_install(FILTER_RELAY, there, err);
}

/* Where files are out of reach all the same, the way back can be no other's. */
static enum filter_way way_of(const struct session *s, bool back)
{
    if (s->direct)
        return back ? FILTER_DIRECT_BACK : FILTER_DIRECT;
    return s->target.host ? FILTER_ENGINE_THERE : FILTER_ENGINE_HERE;
}

static int confine_calls(const struct session *s, bool back, bool *there, struct error **err)
{
    return filter_install(way_of(s, back), there, err);
}
#else
static int confine_calls(const struct session *s, bool back, bool *there, struct error **err)
{
    (void)s, (void)back, (void)err;
    *there = false;
    return 0;
}

static int confine_relay_calls(bool *there, struct error **err)
{
    (void)there, (void)err;
    return 0;
}
#endif

int confine(const struct session *s, bool *back, struct error **err)
{
    bool files = false, calls = false;

    process_trim(); /* all that it needs is there */
    if (INSTRUMENTED)
        return 0;
    if (confine_files(s, &files, err) < 0 || confine_calls(s, *back && files, &calls, err) < 0)
        return -1;
    *back = *back && (files || !calls);
    if (!calls)
        syslog(LOG_NOTICE,
               "session=%s keeps all system calls: this kernel, or this berth, has no filter for "
               "them (seccomp)",
               s->request.session);
    return 0;
}

int confine_relay(struct error **err)
{
    static const struct landlock nothing = {0};
    bool ignored;

    process_trim();
    /* A kernel that lacks the means was told of by the session. */
    return INSTRUMENTED || (landlock_confine(&nothing, &ignored, err) == 0 &&
                            confine_relay_calls(&ignored, err) == 0)
               ? 0
               : -1;
}
