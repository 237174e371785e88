#include "config.h"

#include "session/identity.h"

#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

void identity_machine(char machine[MACHINE_SIZE])
{
    cleanup_fd int fd = open("/etc/machine-id", O_RDONLY | O_CLOEXEC | O_NOCTTY);
    ssize_t n = fd >= 0 ? read(fd, machine, MACHINE_SIZE - 1) : -1;

    machine[n > 0 ? n : 0] = '\0';
    machine[strspn(machine, "0123456789abcdef")] = '\0';
    if (machine[0] != '\0')
        return;
    if (gethostname(machine, MACHINE_SIZE) < 0)
        machine[0] = '\0';
    machine[MACHINE_SIZE - 1] = '\0';
    /* What a container's name may hold, and no more. */
    machine[strspn(machine, "0123456789abcdefghijklmnopqrstuvwxyz"
                            "ABCDEFGHIJKLMNOPQRSTUVWXYZ")] = '\0';
    if (machine[0] == '\0')
        snprintf(machine, MACHINE_SIZE, "nameless");
}

void identity_name(char name[CONTAINER_NAME_SIZE], const char *machine, uid_t uid,
                   const char *session)
{
    snprintf(name, CONTAINER_NAME_SIZE, "berth-%.8s-%u-%s", machine, (unsigned)uid, session);
}

int identity_session(char session[17], struct error **err)
{
    unsigned char bytes[8];

    if (getrandom(bytes, sizeof bytes, 0) != (ssize_t)sizeof bytes)
        return error_set(err, errno, "getrandom");
    for (size_t i = 0; i < sizeof bytes; i++)
        snprintf(session + 2 * i, 3, "%02x", bytes[i]);
    return 0;
}
