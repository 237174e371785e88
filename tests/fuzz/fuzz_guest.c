/* What a guest reads: messages of a helper over a socket, START's payload, and the
 * container's own files. */
#include "config.h"

#include "base/text.h"
#include "guest/proc.h"
#include "guest/shell.h"
#include "protocol/start.h"
#include "protocol/stream.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What was read can be written, and what was written is read as the same; termios'
 * functions take a first time to agree on the speeds. */
static void check_start(const char *payload, size_t len)
{
    struct start start;
    const char *why = NULL;
    struct text before = {0};

    if (start_read(&start, payload, len, &why) < 0) {
        if (!why)
            abort();
        return;
    }
    for (int i = 0; i < 3; i++) {
        struct text written = {0};
        if (start_write(&written, &start, &why) < 0)
            abort();
        start_clear(&start);
        if (start_read(&start, written.data, written.len, &why) < 0)
            abort();
        if (i == 2 && (written.len != before.len || written.len == 0 ||
                       memcmp(written.data, before.data, written.len) != 0))
            abort();
        text_free(&before);
        before = written;
    }
    text_free(&before);
    start_clear(&start);
}

static void check_stream(const uint8_t *data, size_t size)
{
    int ends[2];
    struct stream stream;
    struct message m;
    const char *why = NULL;
    enum stream_result result;

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0)
        return;
    stream_open(&stream, ends[0], MESSAGE_FROM_HELPER);
    ssize_t sent = size > 0 ? send(ends[1], data, size, MSG_DONTWAIT | MSG_NOSIGNAL) : 0;
    close(ends[1]);
    while ((result = stream_read(&stream, &m, &why)) == STREAM_MESSAGE) {
        if (m.nfds > 0 || m.len > (size_t)sent)
            abort();
        if (m.type == MESSAGE_START)
            check_start(m.payload, m.len);
        message_clear(&m);
    }
    if (result == STREAM_AGAIN || (result == STREAM_BAD && !why))
        abort();
    stream_clear(&stream);
    close(ends[0]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct proc_stat st;
    /* Not one byte more, so that a read past the end is seen. */
    char *copy = malloc(size ? size : 1);

    if (!copy)
        return 0;
    memcpy(copy, data, size);
    check_stream(data, size);
    check_start(copy, size);
    char *shell = shell_of_passwd(copy, size, 2001);
    if (shell && shell[0] != '/')
        abort();
    free(shell);
    proc_stat_parse(&st, copy, size);
    free(copy);
    return 0;
}
