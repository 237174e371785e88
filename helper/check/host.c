#include "config.h"

#include "check/host.h"

#include "bundle/bundle.h"
#include "check/subject.h"
#include "policy/mount.h"

#include <errno.h>
#include <linux/magic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>

static char *mend_way(const char *path)
{
    return text_format("chown root DIRECTORY && chmod go-w DIRECTORY, for each on the way to %s",
                       path);
}

static bool is_roots_alone(const struct stat *st)
{
    return S_ISREG(st->st_mode) && st->st_uid == 0 && !(st->st_mode & (S_IWGRP | S_IWOTH));
}

/* As mount_source_check, but links may be on the way where only root can turn them: in
 * some systems /usr/sbin is one. */
static int way_check(const char *path, struct error **err)
{
    cleanup_string char *way = strdup(path), *real = realpath(path, NULL);
    struct stat st;

    if (!way || !real)
        return error_set(err, errno, "%s", path);
    for (char *slash; (slash = strrchr(way, '/')) && slash != way;) {
        *slash = '\0';
        if (stat(way, &st) < 0)
            return error_set(err, errno, "%s", way);
        if (st.st_uid != 0 || st.st_mode & (S_IWGRP | S_IWOTH))
            return error_set(err, 0,
                             "%s: not a directory that only root may write (uid %u, mode %04o)",
                             way, (unsigned)st.st_uid, (unsigned)st.st_mode & 07777);
    }
    return mount_source_check(real, err);
}

/* What runs as root: the tool by its timer, the module in sshd. */
static void look_at_roots(const char *path, struct check *check)
{
    static const char why[] = "root runs it: whoever can write it is root";
    cleanup_error struct error *err = NULL;
    struct stat st;

    if (stat(path, &st) < 0)
        return;
    if (!is_roots_alone(&st))
        check_add(check, FINDING_HOLE, "program-writable",
                  text_format("%s: not a regular file that only root may write (uid %u, mode %04o)",
                              path, (unsigned)st.st_uid, (unsigned)st.st_mode & 07777),
                  why, text_format("chown root:root %s && chmod go-w %s", path, path));
    else if (way_check(path, &err) < 0)
        check_add(check, FINDING_HOLE, "program-writable", text_format("%s", error_text(err)), why,
                  mend_way(path));
}

static void look_at_program(const char *path, const char *why, struct check *check)
{
    cleanup_error struct error *err = NULL;
    struct stat st;

    if (lstat(path, &st) < 0) {
        check_add(check, FINDING_PROBLEM, "program-missing",
                  text_format("%s: %s", path, strerror(errno)), why, text_format("make install"));
        return;
    }
    if (!is_roots_alone(&st)) {
        check_add(
            check, FINDING_HOLE, "program-writable",
            text_format("%s: not a regular file that only root may write (uid %u, mode %04o)", path,
                        (unsigned)st.st_uid, (unsigned)st.st_mode & 07777),
            "whoever can write it runs code as each user who logs in, with the engine's group",
            text_format("chown root:root %s && chmod 0711 %s", path, path));
        return;
    }
    if (mount_source_check(path, &err) < 0)
        check_add(check, FINDING_HOLE, "program-writable", text_format("%s", error_text(err)),
                  "whoever can put another program there runs code as each user who logs in",
                  mend_way(path));
    if ((st.st_mode & 07777) != 0711)
        check_add(
            check, FINDING_PROBLEM, "program-mode",
            text_format("%s: mode %04o, not 0711", path, (unsigned)st.st_mode & 07777),
            st.st_mode & S_IXOTH
                ? "a process of the same user can trace a program that he may read, and so take "
                  "its groups"
                : "these users can't run it",
            text_format("chmod 0711 %s", path));
}

/* They see it at /.berth. */
static void look_at_guest_folder(const char *path, struct check *check)
{
    struct stat st;

    if (stat(path, &st) == 0 && S_ISDIR(st.st_mode) && (st.st_mode & 07777) == 0755 &&
        st.st_uid == 0)
        return;
    check_add(check, FINDING_PROBLEM, "guest-folder",
              text_format("%s: not a directory of root's with mode 0755", path),
              "containers have it at /.berth: on the direct channel no session starts",
              text_format("install -d -o root -m 0755 %s", path));
}

/* "" where it is as it should be. */
static char *runtime_fault(const char *path, struct stat *st)
{
    if (lstat(path, st) < 0)
        return text_format("runtime_dir %s: %s", path, strerror(errno));
    if (!S_ISDIR(st->st_mode) || st->st_uid != 0 || (st->st_mode & 07777) != 01777)
        return text_format("runtime_dir %s: not a directory of root's with mode 1777 (uid %u, mode "
                           "%04o)",
                           path, (unsigned)st->st_uid, (unsigned)st->st_mode & 07777);
    return strdup("");
}

static void look_at_runtime(const char *path, struct check *check)
{
    struct stat st = {0};
    struct statfs fs;
    char *fault = runtime_fault(path, &st);

    if (!fault || fault[0]) {
        /* Others may move what is in it, or have put it there. */
        bool open = st.st_mode != 0 &&
                    (st.st_uid != 0 || (st.st_mode & S_IWOTH && !(st.st_mode & S_ISVTX)));
        check_add(
            check, open ? FINDING_HOLE : FINDING_PROBLEM,
            st.st_mode != 0 ? "runtime-mode" : "runtime-missing", fault,
            "without the t bit one user can move another's locks away; without write for others a "
            "user's first login fails",
            text_format("systemd-tmpfiles --create berth.conf, or install -d -o root -m 1777 %s",
                        path));
        return;
    }
    free(fault);
    if (statfs(path, &fs) == 0 && fs.f_type != TMPFS_MAGIC)
        check_add(check, FINDING_NOTE, "runtime-disk",
                  text_format("runtime_dir %s is not on a tmpfs", path),
                  "locks of before a reboot stay until a sweep finds them; berth-reap.timer does",
                  text_format("runtime_dir = \"/run/berth\", where /run is one"));
}

/* Whether it is there; *roots: only root may write it. */
static bool folder_is_there(const char *runtime_dir, const char *name, bool *roots)
{
    cleanup_string char *path = text_format("%s/%s", runtime_dir, name);
    struct stat st;
    bool there = path && lstat(path, &st) == 0;

    *roots = there && S_ISDIR(st.st_mode) && st.st_uid == 0 && !(st.st_mode & (S_IWGRP | S_IWOTH));
    return there;
}

/* Where pam_berth vouches: what root didn't make there proves nothing. */
static void look_at_connections(const char *runtime_dir, struct check *check)
{
    bool roots, there = folder_is_there(runtime_dir, "connections", &roots);

    if (roots)
        return;
    check_add(
        check, there ? FINDING_PROBLEM : FINDING_NOTE, "runtime-connections",
        there ? text_format("%s/connections: not a directory that only root may write", runtime_dir)
              : text_format("%s/connections isn't there yet", runtime_dir),
        there ? "pam_berth refuses these logins: somebody else has made it"
              : "pam_berth makes it with the first login, unless somebody with code on this "
                "machine makes it before: then logins are refused",
        text_format("%ssystemd-tmpfiles --create berth.conf", there ? "rm -r it, and " : ""));
}

/* It is made with the first login that is to forward. */
static void look_at_networks(const char *runtime_dir, struct check *check)
{
    bool roots, there = folder_is_there(runtime_dir, "networks", &roots);

    if (there && !roots)
        check_add(check, FINDING_PROBLEM, "runtime-networks",
                  text_format("%s/networks: not a directory that only root may write", runtime_dir),
                  "pam_berth refuses all logins with forwarding = container: somebody else has "
                  "made it",
                  text_format("rm -r it, and systemd-tmpfiles --create berth.conf"));
}

/* What counts the sessions of all users. */
static void look_at_slots(const struct policy *p, struct check *check)
{
    cleanup_string char *path = text_format("%s/slots", p->runtime_dir);
    struct stat st;

    if (p->host_max_sessions == 0 || (path && lstat(path, &st) == 0 && S_ISREG(st.st_mode) &&
                                      st.st_uid == 0 && (st.st_mode & 0666) == 0666))
        return;
    check_add(check, FINDING_PROBLEM, "runtime-slots",
              text_format("%s/slots: not a file of root's with mode 0666", p->runtime_dir),
              "host_max_sessions counts by it: logins are refused without it",
              text_format("systemd-tmpfiles --create berth.conf, or install -m 0666 /dev/null "
                          "%s/slots",
                          p->runtime_dir));
}

/* The sftp-server that containers run. */
static void look_at_bundle(const char *folder, struct check *check)
{
    cleanup_error struct error *err = NULL;
    struct bundle bundle;

    if (bundle_look(&bundle, folder, &err) < 0) {
        check->findings.failed = true;
        return;
    }
    if (bundle.state == BUNDLE_STALE)
        check_add(check, FINDING_PROBLEM, "sftp-bundle-stale",
                  text_format("the sftp-server that containers run is an old one: %s", bundle.why),
                  "what an upgrade has mended, sessions still have; berth-reap.timer sees to that",
                  text_format("berth bundle"));
    if (bundle.state == BUNDLE_MISSING)
        check_add(check, FINDING_NOTE, "sftp-bundle-missing",
                  text_format("no sftp-server for containers: %s", bundle.why),
                  "sftp works in images that have one of their own alone, and sftp_audit = auto "
                  "logs none of it",
                  text_format("%s", bundle_host_server()
                                        ? "berth bundle"
                                        : "install OpenSSH's sftp-server, then berth "
                                          "bundle"));
    bundle_free(&bundle);
}

void host_look(const struct policy *p, struct check *check)
{
    look_at_program(BERTH_SESSION, "no login works", check);
    look_at_program(BERTH_SHELL,
                    "the login shell that reads no file and no variable of the user's: without it "
                    "ForceCommand is the only lock",
                    check);
    look_at_program(BERTH_LIBEXECDIR "/guest/berth-guest", "the direct channel needs it", check);
    look_at_roots(BERTH_SBINDIR "/berth", check);
    look_at_roots(BERTH_PAMDIR "/" PAM_MODULE, check);
    look_at_guest_folder(BERTH_LIBEXECDIR "/guest", check);
    look_at_guest_folder(BERTH_LIBEXECDIR "/guest/run", check);
    look_at_bundle(BERTH_LIBEXECDIR "/guest", check);
    look_at_runtime(p->runtime_dir, check);
    look_at_connections(p->runtime_dir, check);
    look_at_networks(p->runtime_dir, check);
    look_at_slots(p, check);
}
