#include "config.h"

#include "protocol/message.h"

#include "base/text.h"

#include <signal.h>
#include <string.h>

/* What the header of each type may say. */
struct rule {
    enum message_type type;
    enum message_side from;
    unsigned fds[2]; /* either */
    uint32_t least, most;
};

static const struct rule rules[] = {
    {MESSAGE_HELLO, MESSAGE_FROM_GUEST, {0, 0}, MESSAGE_HELLO_SIZE, MESSAGE_HELLO_SIZE},
    {MESSAGE_LISTEN, MESSAGE_FROM_HELPER, {1, 1}, MESSAGE_LISTEN_SIZE, MESSAGE_LISTEN_SIZE},
    {MESSAGE_LISTENING, MESSAGE_FROM_GUEST, {0, 0}, 0, 0},
    {MESSAGE_START, MESSAGE_FROM_HELPER, {0, 3}, 1, MESSAGE_PAYLOAD_MAX},
    {MESSAGE_STARTED, MESSAGE_FROM_GUEST, {0, 1}, 0, 0},
    {MESSAGE_SIGNAL, MESSAGE_FROM_HELPER, {0, 0}, MESSAGE_SIGNAL_SIZE, MESSAGE_SIGNAL_SIZE},
    {MESSAGE_EXIT, MESSAGE_FROM_GUEST, {0, 0}, MESSAGE_EXIT_SIZE, MESSAGE_EXIT_SIZE},
    {MESSAGE_ERROR, MESSAGE_FROM_GUEST, {0, 0}, 1, MESSAGE_ERROR_MAX},
};

static void put_u32(unsigned char *bytes, uint32_t n)
{
    for (int i = 0; i < 4; i++)
        bytes[i] = (unsigned char)(n >> (24 - 8 * i));
}

static uint32_t get_u32(const unsigned char *bytes)
{
    return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3];
}

void message_header_write(unsigned char bytes[MESSAGE_HEADER_SIZE],
                          const struct message_header *header)
{
    bytes[0] = MESSAGE_VERSION;
    bytes[1] = (unsigned char)header->type;
    bytes[2] = (unsigned char)header->fds;
    bytes[3] = 0;
    put_u32(bytes + 4, header->length);
}

const char *message_header_read(struct message_header *header, enum message_side from,
                                const unsigned char bytes[MESSAGE_HEADER_SIZE])
{
    const struct rule *rule = NULL;
    uint32_t length = get_u32(bytes + 4);

    if (bytes[0] != MESSAGE_VERSION && (from != MESSAGE_FROM_GUEST || bytes[1] != MESSAGE_HELLO))
        return "of another version of the protocol";
    for (size_t i = 0; i < sizeof rules / sizeof rules[0]; i++)
        if (bytes[1] == (unsigned char)rules[i].type)
            rule = &rules[i];
    if (!rule || bytes[3] != 0)
        return "of an unknown type";
    if (rule->from != from)
        return "of the other side's type";
    if (bytes[2] != rule->fds[0] && bytes[2] != rule->fds[1])
        return "with a wrong number of descriptors";
    if (length < rule->least || length > rule->most)
        return "of a wrong length";
    header->type = rule->type;
    header->fds = bytes[2];
    header->length = length;
    return NULL;
}

/* No process ends by the four that stop one, and none must: the helper would. */
static bool ends_processes(int signal)
{
    return signal >= 1 && signal <= MESSAGE_EXIT_SIGNAL_MAX && signal != SIGSTOP &&
           signal != SIGTSTP && signal != SIGTTIN && signal != SIGTTOU;
}

const char *message_check(enum message_type type, const char *payload, size_t len)
{
    const unsigned char *p = (const unsigned char *)payload;
    bool good = true;

    switch (type) {
    case MESSAGE_HELLO:
        good = p[0] >= 1 && p[0] <= p[1];
        break;
    case MESSAGE_LISTEN:
        good = p[8] <= 1;
        break;
    case MESSAGE_SIGNAL:
        good = p[0] >= 1 && p[0] <= MESSAGE_SIGNAL_MAX;
        break;
    case MESSAGE_EXIT:
        good = p[0] == 0 || (p[0] == 1 && ends_processes(p[1]));
        break;
    case MESSAGE_ERROR:
        good = !memchr(p, '\0', len) && utf8_valid(payload, len);
        break;
    case MESSAGE_LISTENING:
    case MESSAGE_STARTED:
    case MESSAGE_START:
        break;
    }
    return good ? NULL : "with a value out of bounds";
}

void message_listen_write(unsigned char bytes[MESSAGE_LISTEN_SIZE],
                          const struct message_listen *listen)
{
    put_u32(bytes, listen->linger);
    put_u32(bytes + 4, listen->grace);
    bytes[8] = listen->once;
}

void message_listen_read(struct message_listen *listen,
                         const unsigned char bytes[MESSAGE_LISTEN_SIZE])
{
    listen->linger = get_u32(bytes);
    listen->grace = get_u32(bytes + 4);
    listen->once = bytes[8] == 1;
}
