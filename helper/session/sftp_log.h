/* What sftp-server says that it does (its -e), in the audit log. */
#ifndef BERTH_SESSION_SFTP_LOG_H
#define BERTH_SESSION_SFTP_LOG_H

#include "channel/tap.h"
#include "session/session.h"

/* A burst of SFTP_LOG_BURST lines is taken whole, as of 12,000 small files; over time
 * SFTP_LOG_RATE a second. What is more is left out, and the log says how many lines: a
 * process in the container can write there as well. */
enum { SFTP_LOG_BURST = 50000, SFTP_LOG_RATE = 500, SFTP_LOG_LINE_MAX = 700 };

struct sftp_log {
    const struct session *session;
    struct tap tap;
    long long room; /* lines that may come now, in thousandths */
    long long at;   /* now_ms() of that */
    long long cut;  /* lines left out, which wasn't said yet */
};

/* Whether this session's is logged, which session->tapped says from then on; then `log` is
 * ready. It must not move. Before the session is confined. */
bool sftp_log_begin(struct sftp_log *log, struct session *session);

/* The tap is closed; says what is left to be said. */
void sftp_log_end(struct sftp_log *log);

#endif
