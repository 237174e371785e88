/* What helper and guest say to each other: berth's control protocol, version 2.
 *
 * Over a unix stream socket, one connection a session. A message is an 8-byte
 * header and a payload:
 *
 *   byte 0    version: MESSAGE_VERSION
 *   byte 1    type: enum message_type
 *   byte 2    descriptors that come with the header's first byte (SCM_RIGHTS)
 *   byte 3    0
 *   byte 4-7  the payload's length, big-endian; bounds below
 *
 * Numbers are big-endian. A string is a u32 length and so many bytes, none of
 * them NUL; a list is a u32 count and so many strings.
 *
 *   creator   guest connects to START_SOCKET, where the creator listens:
 *             guest  HELLO
 *             helper LISTEN (the socket bound as GUEST_SOCKET)
 *             guest  LISTENING; both close
 *   session   helper connects to GUEST_SOCKET:
 *             guest  HELLO
 *             helper START
 *             guest  STARTED, or ERROR
 *             helper SIGNAL, any number, any time after START
 *             guest  EXIT; both close
 *
 * The helper's closing before EXIT ends the session: SIGHUP, then SIGKILL. The
 * guest's closing before EXIT is the loss of the container; before STARTED the
 * program had begun at most, and ended with the guest: the session is tried again
 * elsewhere. The window's size is
 * set by the helper, on the master that it holds: TIOCSWINSZ.
 *
 * Malformed is: another version (but HELLO's), an unknown type, a type that is not the
 * sender's or not due now, a length or count out of bounds, descriptors that a
 * message doesn't have or not as many as it says, bytes left over. Either side
 * closes a connection on which it has read something malformed, or which ends
 * inside a message; the guest says ERROR first where it can, and a session that
 * was running there ends as above. Nothing else is touched by it.
 *
 * START waits for HELLO: sshd's pipes are sent to who is there to take them.
 *
 * Versions: bound to grow. The guest says in HELLO which it speaks, and answers
 * a message of another version with ERROR; so a helper that was upgraded under a
 * running container has a clear refusal for its user, never a misread message.
 * HELLO is the same in all versions, and is read whatever its byte 0 is. */
#ifndef BERTH_PROTOCOL_MESSAGE_H
#define BERTH_PROTOCOL_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MESSAGE_VERSION 2

/* In the container's folder, which stands at GUEST_RUN inside. */
#define START_SOCKET "start"
#define GUEST_SOCKET "guest"
#define GUEST_DIR    "/.berth"
#define GUEST_RUN    GUEST_DIR "/run"

enum message_type {
    /* guest: u8 lowest and u8 highest version spoken. */
    MESSAGE_HELLO = 'H',
    /* helper: 1 descriptor, a bound unix stream socket. u32 linger: how many
     * seconds the guest stays without a session (the first one is awaited for 10 s
     * at least), LINGER_FOREVER: till it is told to end; u32 grace: milliseconds
     * from SIGHUP to SIGKILL of a session whose helper went away; u8: 1 where the
     * first session is the container's only one, whose end is the guest's. */
    MESSAGE_LISTEN = 'L',
    /* guest: it listens. Empty. */
    MESSAGE_LISTENING = 'G',
    /* helper: start.h. 3 descriptors (stdin, stdout, stderr), or none with a
     * terminal. */
    MESSAGE_START = 'S',
    /* guest: the program was started (execve(2) has worked). Empty; with a
     * terminal 1 descriptor, the PTY's master. */
    MESSAGE_STARTED = 'T',
    /* helper: u8, a signal's number, 1 to 31, for the session's foreground
     * process group (with a terminal) or its process group. */
    MESSAGE_SIGNAL = 'K',
    /* guest: u8 0 and u8 exit status, or u8 1 and u8 the signal that ended it, 1
     * to 64 and none that stops (signal(7)). */
    MESSAGE_EXIT = 'X',
    /* guest: why it can't, in words for the user: UTF-8, 1 to MESSAGE_ERROR_MAX
     * bytes. The guest closes after it. */
    MESSAGE_ERROR = 'E',
};

enum {
    MESSAGE_HEADER_SIZE = 8,
    MESSAGE_ERROR_MAX = 1024,
    MESSAGE_FDS_MAX = 3,
    /* The kernel takes 128 KiB a string and about 2 MiB in all (execve(2)). */
    MESSAGE_STRING_MAX = 128 * 1024 - 1,
    MESSAGE_LIST_MAX = 8192,
    MESSAGE_PAYLOAD_MAX = 2 * 1024 * 1024,
    MESSAGE_HELLO_SIZE = 2,
    MESSAGE_LISTEN_SIZE = 9,
    MESSAGE_SIGNAL_SIZE = 1,
    MESSAGE_EXIT_SIZE = 2,
    MESSAGE_SIGNAL_MAX = 31,
    MESSAGE_EXIT_SIGNAL_MAX = 64,
};
#define LINGER_FOREVER UINT32_MAX

enum message_side { MESSAGE_FROM_HELPER, MESSAGE_FROM_GUEST };

struct message_header {
    enum message_type type;
    unsigned fds;
    uint32_t length;
};

void message_header_write(unsigned char bytes[MESSAGE_HEADER_SIZE],
                          const struct message_header *header);

/* Reads a header that `from` sent and checks it against the table above: version,
 * type, sender, number of descriptors, length. NULL, or what is wrong (a constant
 * string). */
const char *message_header_read(struct message_header *header, enum message_side from,
                                const unsigned char bytes[MESSAGE_HEADER_SIZE]);

/* Checks what a message's payload says, of a length that message_header_read() has
 * let pass; all but START's, which start_read() checks. NULL, or what is wrong. */
const char *message_check(enum message_type type, const char *payload, size_t len);

/* LISTEN's payload. */
struct message_listen {
    uint32_t linger; /* s */
    uint32_t grace;  /* ms */
    bool once;
};

void message_listen_write(unsigned char bytes[MESSAGE_LISTEN_SIZE],
                          const struct message_listen *listen);
/* Of a payload that message_check() has let pass. */
void message_listen_read(struct message_listen *listen,
                         const unsigned char bytes[MESSAGE_LISTEN_SIZE]);

#endif
