#include "config.h"

#include "session/nss_alarm.h"

#include "base/text.h"
#include "session/outcome.h"

#include <paths.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <syslog.h>
#include <unistd.h>

/* A handler gets nothing handed down. What it says is written beforehand, since in the
 * middle of an NSS call it may not allocate, and syslog(3) would. */
struct last_words {
    char user[512], log[1024];
    size_t user_len, log_len; /* 0: nothing for the log */
    int status;
    struct sigaction before;
    volatile sig_atomic_t said;
};
static struct last_words words;

/* Who reads stderr must not keep this waiting either: a PTY may be stopped. */
enum { TELLING_S = 2 };

static void tell_log(void)
{
    static const struct sockaddr_un log = {.sun_family = AF_UNIX, .sun_path = _PATH_LOG};
    static const int types[] = {SOCK_DGRAM, SOCK_STREAM};

    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        int fd = socket(AF_UNIX, types[i] | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        /* On a stream the NUL ends a line, as syslog(3) has it. */
        if (fd >= 0 && connect(fd, (const struct sockaddr *)&log, sizeof log) == 0 &&
            send(fd, words.log, words.log_len + (types[i] == SOCK_STREAM), MSG_NOSIGNAL) >= 0)
            return;
    }
}

/* Calls nothing but what signal-safety(7) lists. */
static void on_alarm(int number)
{
    (void)number;
    if (words.said)
        _exit(words.status);
    words.said = 1;
    alarm(TELLING_S);
    if (words.log_len > 0)
        tell_log();
    (void)!write(2, words.user, words.user_len);
    _exit(words.status);
}

/* As syslog(3) writes it but for the time, which a log adds itself. */
static void write_words(const struct request *request, const char *what)
{
    cleanup_string char *reason = text_format(
        "cannot %s: the system's user database (NSS) has not answered for %d s: try "
        "again later, or ask the administrator",
        what, NSS_ALARM_S);

    int len = snprintf(words.user, sizeof words.user, "berth: %s\n", reason ? reason : what);
    words.user_len = (size_t)len < sizeof words.user ? (size_t)len : sizeof words.user - 1;
    len = snprintf(words.log, sizeof words.log,
                   "<%d>berth-session[%d]: deny session=%s uid=%u client=%s port=%s cause=login "
                   "reason=\"%s\"",
                   LOG_AUTHPRIV | LOG_WARNING, (int)getpid(), request->session, (unsigned)getuid(),
                   request->client, request->port, reason ? reason : what);
    words.log_len = (size_t)len < sizeof words.log ? (size_t)len : sizeof words.log - 1;
}

static void arm(int status)
{
    /* SA_NODEFER: the second alarm must come through. */
    const struct sigaction wake = {.sa_handler = on_alarm, .sa_flags = SA_NODEFER};
    sigset_t only;

    words.status = status;
    sigemptyset(&only);
    sigaddset(&only, SIGALRM);
    sigaction(SIGALRM, &wake, &words.before);
    /* Whoever started us may have blocked it. */
    sigprocmask(SIG_UNBLOCK, &only, NULL);
    alarm(NSS_ALARM_S);
}

void nss_alarm_on(const struct request *request, const char *what)
{
    write_words(request, what);
    arm(OUTCOME_REFUSED);
}

void nss_alarm_on_check(const char *what, const char *name)
{
    cleanup_text struct text who = {0};

    text_escape(&who, name, 64);
    int len = snprintf(
        words.user, sizeof words.user,
        "berth check: cannot look up %s \"%s\": the system's user database (NSS) has "
        "not answered for %d s\n",
        what, text_str(&who), NSS_ALARM_S);
    words.user_len = (size_t)len < sizeof words.user ? (size_t)len : sizeof words.user - 1;
    words.log_len = 0;
    arm(1);
}

void nss_alarm_off(void)
{
    alarm(0);
    sigaction(SIGALRM, &words.before, NULL);
}
