/* A module of the C library's Name Service Switch, for tests (nss.py): knows one account,
 * ODD_UID's, whose name and home are the bytes of two files in CONTROL, and hangs where a file
 * there says so, but for the helper and the administrator's tool alone: sshd must let the login
 * in. */
#define _GNU_SOURCE
#include <errno.h>
#include <grp.h>
#include <nss.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void maybe_hang(const char *what, const char *key)
{
    char path[512];

    snprintf(path, sizeof path, CONTROL "/hang-%s-%s", what, key);
    if (strncmp(program_invocation_short_name, "berth-session", 13) != 0 &&
        strcmp(program_invocation_short_name, "berth") != 0)
        return;
    if (access(path, F_OK) < 0)
        return;
    for (;;)
        pause();
}

/* The file's bytes and a NUL into what is left of the caller's buffer. */
static char *take(const char *name, char **buffer, size_t *left, int *errnop)
{
    char path[512], *start = *buffer;
    size_t len;

    snprintf(path, sizeof path, CONTROL "/%s", name);
    FILE *file = fopen(path, "re");
    *errnop = ENOENT;
    if (!file)
        return NULL;
    len = fread(start, 1, *left, file);
    fclose(file);
    *errnop = ERANGE;
    if (len >= *left)
        return NULL;
    start[len] = '\0';
    *buffer += len + 1;
    *left -= len + 1;
    return start;
}

static char *literal(const char *s, char **buffer, size_t *left)
{
    size_t len = strlen(s) + 1;
    char *start = *buffer;

    if (len > *left)
        return NULL;
    memcpy(start, s, len);
    *buffer += len;
    *left -= len;
    return start;
}

static enum nss_status odd(struct passwd *pw, char *buffer, size_t left, int *errnop)
{
    pw->pw_name = take("name", &buffer, &left, errnop);
    pw->pw_dir = pw->pw_name ? take("home", &buffer, &left, errnop) : NULL;
    if (!pw->pw_dir)
        return *errnop == ERANGE ? NSS_STATUS_TRYAGAIN : NSS_STATUS_NOTFOUND;
    pw->pw_passwd = literal("*", &buffer, &left);
    pw->pw_gecos = literal("", &buffer, &left);
    pw->pw_shell = literal("/bin/sh", &buffer, &left);
    pw->pw_uid = ODD_UID;
    pw->pw_gid = ODD_GID;
    *errnop = ERANGE;
    return pw->pw_shell ? NSS_STATUS_SUCCESS : NSS_STATUS_TRYAGAIN;
}

enum nss_status _nss_berthtest_getpwuid_r(uid_t uid, struct passwd *pw, char *buffer, size_t left,
                                          int *errnop);
enum nss_status _nss_berthtest_getpwuid_r(uid_t uid, struct passwd *pw, char *buffer, size_t left,
                                          int *errnop)
{
    char key[16];

    snprintf(key, sizeof key, "%u", (unsigned)uid);
    maybe_hang("passwd", key);
    return uid == ODD_UID ? odd(pw, buffer, left, errnop) : NSS_STATUS_NOTFOUND;
}

enum nss_status _nss_berthtest_getpwnam_r(const char *name, struct passwd *pw, char *buffer,
                                          size_t left, int *errnop);
enum nss_status _nss_berthtest_getpwnam_r(const char *name, struct passwd *pw, char *buffer,
                                          size_t left, int *errnop)
{
    maybe_hang("passwd", name);
    enum nss_status status = odd(pw, buffer, left, errnop);

    if (status == NSS_STATUS_SUCCESS && strcmp(pw->pw_name, name) != 0)
        return NSS_STATUS_NOTFOUND;
    return status;
}

enum nss_status _nss_berthtest_initgroups_dyn(const char *user, gid_t group, long *start,
                                              long *size, gid_t **groups, long limit, int *errnop);
enum nss_status _nss_berthtest_initgroups_dyn(const char *user, gid_t group, long *start,
                                              long *size, gid_t **groups, long limit, int *errnop)
{
    (void)group, (void)start, (void)size, (void)groups, (void)limit, (void)errnop;
    maybe_hang("group", user);
    return NSS_STATUS_NOTFOUND;
}
