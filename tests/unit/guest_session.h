/* For tests of the guest's sessions: one whose helper is the test itself. */
#ifndef BERTH_TEST_GUEST_SESSION_H
#define BERTH_TEST_GUEST_SESSION_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/text.h"
#include "guest/session.h"

enum { WAIT_MS = 5000, GRACE_MS = 700 };

#define BYTES(of) (of), sizeof(of) - 1

extern const struct session_setting setting;

/* now_ms()'s, in place of base/file.c's (ld(1), --wrap): time passes where a test says so,
 * and a `tick` by each look at it. */
extern long long now, tick;

struct held {
    struct session *s;
    int helper;
    struct stream stream; /* what the helper reads */
    int in[2], out[2];    /* pipes, where its command has them: START takes its ends */
    int open_before;
};

/* For cmocka_run_group_tests(). */
int held_make(void **state);
int held_drop(void **state);

void held_open(struct held *h);
/* Nothing of it is left open. */
void held_close(struct held *h);
/* The same before it is freed: closes the helper's end. */
void held_let_go(struct held *h, enum session_state is);

/* One that runs until its stdin has a line; it does so yet, and then ends. */
void held_run(struct held *h);
void held_runs_on(struct held *h);
/* One whose START has come in part, and takes the rest. */
void held_wait(struct held *h, struct text *rest);
void held_starts_yet(struct held *h, const struct text *rest);

/* Its leader's wait status. */
int held_status(const struct held *h);

/* Of the helper: bytes with as many descriptors, and START's payload or a whole START. */
void send_bytes(const struct held *h, const void *bytes, size_t len, unsigned fds);
void make_start(struct text *payload, const char *command, bool tty);
void send_start(struct held *h, const char *command);

/* What the helper reads: a message; the start and the end of a command, ERROR and then the end, and
 * STREAM_AGAIN or STREAM_END. */
void expect(struct held *h, enum message_type type, const char *payload, size_t len);
void expect_started(struct held *h);
void expect_exit(struct held *h, const char status[MESSAGE_EXIT_SIZE]);
void expect_error(struct held *h, const char *before, const char *why);
void expect_no_more(struct held *h, enum stream_result result);

#endif
