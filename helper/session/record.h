/* What is known of a shared container without asking the engine: in its lock
 * file (lease.h), written by its creator, read by whoever joins. */
#ifndef BERTH_SESSION_RECORD_H
#define BERTH_SESSION_RECORD_H

#include "base/error.h"
#include "engine/container.h"
#include "engine/image.h"
#include "session/lease.h"

#include <stdbool.h>
#include <sys/types.h>

enum { RECORD_POLICY_SIZE = 17 };

enum { RECORD_IMAGE_SIZE = 513 };

struct record {
    /* spec_hash() of what it was made by; RECORD_OUTDATED where its image's name
     * stands for another image by now. */
    char policy[RECORD_POLICY_SIZE];
    long long checked;                  /* when that was last asked, s since the epoch */
    pid_t pid;                          /* of the guest, as this machine counts */
    char id[CONTAINER_ID_SIZE];         /* the container's */
    char image[IMAGE_ID_SIZE];          /* "" or, read again, "-": unknown */
    char image_name[RECORD_IMAGE_SIZE]; /* as berth.conf had it, no blanks */
    bool keep;                          /* on_idle = stop: no sweep removes it */
    /* s for which it may stay unused, LINGER_GUEST where its guest sees to that, -1:
     * forever. The file's time is its last use's. */
    long long linger;
};
enum { LINGER_GUEST = -2 };
#define RECORD_OUTDATED "0000000000000000"

/* False where there is none: nothing was created, or its creator died over it. */
bool record_read(struct record *record, int lock);
int record_write(const struct record *record, int lock, struct error **err);
/* Writes its `policy` and `checked` anew, where it stands already; that is no use of
 * the container, and the file's time stays. */
void record_update(const struct record *record, int lock);
/* What stood there is no more. */
void record_clear(int lock);
/* It is no more, but for who makes the next container, or is to finish that, and may start this
 * one again: record_former. */
void record_retire(int lock);
/* What was retired, while nothing is written in its place. */
bool record_former(struct record *record, int lock);
/* Whether it lives by its own time, where no guest sees to that. */
bool record_lingers(const struct record *record, const struct lease *lease);
/* Whether the guest lives: a pid alone would lie, it may be another's by now. Where
 * /proc hides it (hidepid), who connects finds out. */
bool record_lives(const struct record *record);

/* The record of a shared container whose lock isn't held. */
bool record_peek(struct record *record, const struct lease *lease);

#endif
