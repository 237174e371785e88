#include "config.h"

#include "guest/terminal.h"

#include "base/file.h"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <termios.h>

int terminal_open(const struct start *start, int *master, int *slave)
{
    struct termios modes = start->termios, before;
    int unlocked = 0;

    /* O_NONBLOCK: whatever root of the container has put there. */
    cleanup_fd int m = open("/dev/ptmx", O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
    if (m < 0 || ioctl(m, TIOCSPTLCK, &unlocked) < 0)
        return -1;
    cleanup_fd int s = ioctl(m, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (s < 0 || tcgetattr(s, &before) < 0)
        return -1;
    modes.c_line = before.c_line;
    if (tcsetattr(s, TCSANOW, &modes) < 0 || ioctl(s, TIOCSWINSZ, &start->window) < 0)
        return -1;
    *master = release_fd(&m);
    *slave = release_fd(&s);
    return 0;
}
