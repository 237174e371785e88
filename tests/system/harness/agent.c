/* Asks the agent at SSH_AUTH_SOCK for its keys, in any image, and prints their number
 * (draft-ietf-sshm-ssh-agent, 3.5). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

int main(void)
{
    static const char question[] = {0, 0, 0, 1, 11};
    unsigned char answer[9];
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    const char *path = getenv("SSH_AUTH_SOCK");
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);

    if (!path)
        return puts("no SSH_AUTH_SOCK") < 0 || 3;
    snprintf(at.sun_path, sizeof at.sun_path, "%s", path);
    if (connect(fd, (struct sockaddr *)&at, sizeof at) < 0) {
        perror("connect");
        return 2;
    }
    if (write(fd, question, sizeof question) != sizeof question ||
        recv(fd, answer, sizeof answer, MSG_WAITALL) != sizeof answer || answer[4] != 12)
        return puts("no answer") < 0 || 1;
    printf("%d keys\n", answer[8]);
    return 0;
}
