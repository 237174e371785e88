/* What the first session will need, read while the engine still tells the helper that the
 * container has started: where the image is a FUSE file system, or on a cold disk, a shell
 * takes a dozen milliseconds to come from there. */
#ifndef BERTH_GUEST_AHEAD_H
#define BERTH_GUEST_AHEAD_H

/* In a process of its own, which PID 1 doesn't wait for. What can't be had is the session's
 * to tell. */
void ahead_start(void);

#endif
