/* A user who is looked at, and what is known of him on the way. */
#ifndef BERTH_CHECK_SUBJECT_H
#define BERTH_CHECK_SUBJECT_H

#include "base/error.h"
#include "check/check.h"
#include "check/pam.h"
#include "check/sshd.h"
#include "session/person.h"

#include <stdbool.h>

#define BERTH_SHELL   BERTH_LIBEXECDIR "/berth-shell"
#define BERTH_SESSION BERTH_LIBEXECDIR "/berth-session"
#define PAM_MODULE    "pam_berth.so"
#define BERTH_GROUP   "berth" /* whom 50-berth.conf is about */
#define SSHRC         "/etc/ssh/sshrc"

struct subject {
    struct person person;
    bool named;    /* by --user, or by a section that isn't for just anybody */
    bool unmapped; /* by none: he is in berth's group, so sshd may let him do what it lets them */
    char *twin;    /* another name of the same uid, or NULL */

    struct policy *policy;     /* NULL: there is none for him */
    struct sshd_settings sshd; /* of his logins */
    bool by_shell;             /* berth-shell is his login shell */
    bool forced;               /* ForceCommand is berth-session */
    bool home_is_his;          /* he may write his home directory on this machine */
    bool mounts_home;          /* his container shows him that, or a part of it */
    bool in_engine_group;      /* NSS has him in the group of the engine's socket */
    bool ours;                 /* one of the above says that he is meant for berth */
};

struct subjects {
    struct subject *items;
    size_t count;
};

/* Whom `check` is about, as far as NSS and berth.conf say; what can't be told is a
 * finding. */
void subjects_find(struct subjects *subjects, struct check *check);
void subjects_free(struct subjects *subjects);

/* What the accounts themselves say: home, login shell, names. */
void subject_look(struct subject *subject, struct check *check);

/* An account that nobody can log in with. */
bool subject_is_shut(const struct subject *subject);

/* A finding about him. */
#define subject_add(check, subject, ...)                                                           \
    findings_add(&(check)->findings, &(struct finding){__VA_ARGS__}, (subject)->person.account.name)

#endif
