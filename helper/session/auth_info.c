#include "config.h"

#include "session/auth_info.h"

#include "base/base64.h"
#include "base/file.h"
#include "base/sha256.h"
#include "base/text.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* An RSA key of 16384 bits has 2.8 KiB in base64. */
enum { INFO_MOST = 16 * 1024 };

static void fingerprint(char key[REQUEST_KEY_SIZE], const char *encoded)
{
    unsigned char digest[SHA256_SIZE];
    unsigned char *blob = malloc(strlen(encoded) + 1);
    ssize_t len = blob ? base64_decode(encoded, blob) : -1;

    if (len > 0) {
        sha256(blob, (size_t)len, digest);
        cleanup_string char *hash = base64_bare(digest, sizeof digest);
        snprintf(key, REQUEST_KEY_SIZE, "SHA256:%s", hash ? hash : "");
    }
    free(blob);
}

void auth_info_read(char key[REQUEST_KEY_SIZE], const char *text)
{
    char method[32], type[64], encoded[INFO_MOST];

    key[0] = '\0';
    for (const char *line = text; line; line = strchr(line, '\n')) {
        line += *line == '\n';
        if (sscanf(line, "%31s %63s %16383[A-Za-z0-9+/=]", method, type, encoded) != 3 ||
            strcmp(method, "publickey") != 0 || strstr(type, "-cert-v"))
            continue;
        fingerprint(key, encoded);
        return;
    }
}

/* Without ExposeAuthInfo the variable could be anybody's: only a file counts that is as
 * sshd makes it, where no user makes one. */
static int open_info(const char *path)
{
    static const char made[] = "/tmp/sshauth.";
    struct stat st;

    if (strncmp(path, made, sizeof made - 1) != 0 || strchr(path + sizeof made - 1, '/'))
        return -1;
    cleanup_fd int fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_uid != getuid() ||
        st.st_nlink != 1 || st.st_mode & (S_IRWXG | S_IRWXO))
        return -1;
    return release_fd(&fd);
}

void auth_info_know(struct request *request)
{
    const char *path = request_getenv(request, "SSH_USER_AUTH");
    cleanup_fd int fd = path ? open_info(path) : -1;
    size_t len;

    cleanup_string char *text = fd >= 0 ? file_read_all(fd, INFO_MOST - 1, &len) : NULL;
    if (text)
        auth_info_read(request->key, text);
}
