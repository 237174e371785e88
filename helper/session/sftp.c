#include "config.h"

#include "session/sftp.h"

#include "protocol/message.h"

#include <limits.h>
#include <string.h>
#include <unistd.h>

/* bundle/bundle.h: which one there is, and how it is run. */
#define BUNDLE_LINK BERTH_LIBEXECDIR "/guest/sftp"
#define GLIBC       "sftp-glibc-"
#define PLAIN       "sftp-plain-"
#define STATIC      "sftp-static-"

bool sftp_is_served(const struct policy *policy, const struct request *request)
{
    return request->kind == REQUEST_SFTP && !policy->force_command;
}

bool sftp_wants_bundle(const struct policy *policy)
{
    return policy->sftp == SFTP_BUNDLED && !policy->force_command;
}

static bool begins(const char *s, const char *prefix)
{
    return strncmp(s, prefix, strlen(prefix)) == 0;
}

/* The directory's name, once: a session keeps to the one that it found, whatever comes in. */
static bool find(char name[NAME_MAX + 1], const struct policy *policy, bool mounted)
{
    if (!mounted || !sftp_wants_bundle(policy))
        return false;
    ssize_t n = readlink(BUNDLE_LINK, name, NAME_MAX);
    name[n > 0 ? n : 0] = '\0';
    return !strchr(name, '/') &&
           (begins(name, GLIBC) || begins(name, PLAIN) || begins(name, STATIC));
}

static int add(struct strings *argv, const char *name, const char *file)
{
    return strings_take(argv, text_format(GUEST_DIR "/%s%s", name, file));
}

int sftp_bundled(struct strings *argv, const struct policy *policy, bool mounted)
{
    char name[NAME_MAX + 1];
    int rc = 0;

    if (!find(name, policy, mounted))
        return 0;
    if (!begins(name, STATIC)) {
        rc = add(argv, name, "/ld.so");
        if (rc == 0 && begins(name, GLIBC))
            rc = strings_add(argv, "--inhibit-cache");
        if (rc == 0)
            rc = strings_add(argv, "--library-path");
        if (rc == 0)
            rc = add(argv, name, "");
    }
    return rc == 0 ? add(argv, name, "/sftp-server") : rc;
}

int sftp_images(struct strings *programs, const struct policy *policy)
{
    /* Debian, Arch and Alpine, Fedora, SUSE, BSD-like, Gentoo. */
    static const char *const usual[] = {
        "/usr/lib/openssh/sftp-server",     "/usr/lib/ssh/sftp-server",
        "/usr/libexec/openssh/sftp-server", "/usr/libexec/ssh/sftp-server",
        "/usr/libexec/sftp-server",         "/usr/lib/misc/sftp-server",
    };

    if (policy->sftp_path)
        return strings_add(programs, policy->sftp_path);
    for (size_t i = 0; i < sizeof usual / sizeof *usual; i++)
        if (strings_add(programs, usual[i]) < 0)
            return -1;
    return 0;
}

char *sftp_missing(const struct policy *policy, bool mounted)
{
    static const char cure[] = "install one in it, or name the one it has in berth.conf: "
                               "sftp = \"image:/path\"";

    if (policy->sftp_path)
        return text_format("image %s has no sftp-server at %s: %s", policy->image,
                           policy->sftp_path, cure);
    if (mounted && sftp_wants_bundle(policy))
        return text_format("image %s has no sftp-server, and this host's own isn't there for it: "
                           "the administrator can have it there (berth bundle)",
                           policy->image);
    return text_format("image %s has no sftp-server: %s", policy->image, cure);
}

bool sftp_is_logged(const struct policy *policy, const struct request *request, bool mounted)
{
    char name[NAME_MAX + 1];

    if (!sftp_is_served(policy, request) || policy->sftp_audit == SFTP_AUDIT_NO)
        return false;
    return policy->sftp_audit == SFTP_AUDIT_YES || find(name, policy, mounted);
}
