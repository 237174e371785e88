#include "config.h"

#include "session/sftp_log.h"

#include "base/file.h"
#include "session/audit.h"
#include "session/sftp.h"

static void say_cut(struct sftp_log *log)
{
    const struct session *s = log->session;

    if (log->cut > 0)
        audit_sftp_cut(&s->request, s->policy, log->cut);
    log->cut = 0;
}

static bool has_room(struct sftp_log *log)
{
    const long long now = now_ms();

    log->room += (now - log->at) * SFTP_LOG_RATE;
    log->at = now;
    if (log->room > SFTP_LOG_BURST * 1000LL)
        log->room = SFTP_LOG_BURST * 1000LL;
    if (log->room < 1000)
        return false;
    log->room -= 1000;
    return true;
}

static void take(void *data, const char *record, size_t len)
{
    struct sftp_log *log = data;
    const struct session *s = log->session;

    if (!has_room(log)) {
        log->cut++;
        return;
    }
    /* Not before each of the few lines that a flood lets through. */
    if (log->room > SFTP_LOG_RATE * 1000LL / 2 || log->cut > SFTP_LOG_RATE * 10LL)
        say_cut(log);
    audit_sftp(&s->request, s->policy, record, len);
}

bool sftp_log_begin(struct sftp_log *log, struct session *session)
{
    *log = (struct sftp_log){.session = session,
                             .tap = {.fd = -1, .take = take, .data = log},
                             .room = SFTP_LOG_BURST * 1000LL,
                             .at = now_ms()};
    /* Of a terminal there is no stderr apart: session.c lets none in. */
    session->tapped = !session->request.tty && sftp_is_logged(session->policy, &session->request,
                                                              session->target.socket != NULL);
    return session->tapped;
}

void sftp_log_end(struct sftp_log *log)
{
    tap_close(&log->tap);
    say_cut(log);
}
