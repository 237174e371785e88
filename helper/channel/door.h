/* How a container's creator lets its guest in: two sockets in the folder that is
 * mounted into it (message.h). The guest connects to the one, and gets the other
 * to listen on. */
#ifndef BERTH_CHANNEL_DOOR_H
#define BERTH_CHANNEL_DOOR_H

#include "base/error.h"
#include "channel/client.h"
#include "protocol/message.h"

#include <sys/types.h>

enum {
    /* From the container's start to the guest's first word. */
    DOOR_REPORT_MS = 10000,
};

struct door {
    int start; /* listening: the guest connects there */
    int guest; /* bound, for the guest to listen on */
};

/* Makes both sockets in `folder`, mode 0666: the container's uid may be any. */
int door_open(struct door *door, int folder, struct error **err);
/* Takes the report of the guest, which is process `pid` and nobody else, and has
 * it listen. The wait watches the client and that process. */
int door_welcome(struct door *door, pid_t pid, const struct message_listen *terms,
                 struct client *client, struct error **err);
void door_close(struct door *door);

#endif
