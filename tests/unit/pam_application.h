/* pam_berth.so as an application of libpam's has it, with a configuration directory of
 * the test's own. NSS and the process's groups are the test's: what libpam and the
 * module call is found here first (-export-dynamic). */
#ifndef BERTH_TEST_PAM_APPLICATION_H
#define BERTH_TEST_PAM_APPLICATION_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <security/pam_appl.h>
#include <sys/types.h>

#define MODULE BUILDDIR "/pam_berth.so"

/* No uid of any real account: what a test leaves in a runtime directory is nobody's. */
enum { UID = 61001, ENGINE = 61500, SECRETS = 61501, OWN = 61502 };

struct application {
    char top[32]; /* the test's own directory; the runtime directory is its "run" */
    char config[64];
    gid_t groups[16]; /* the process's */
    size_t group_count;
    unsigned granted; /* how often setgroups was called */
    char said[2048];  /* what the module told the user */
};

extern struct application application;

/* For a group of tests. */
int application_make(void **state);
int application_drop(void **state);
/* For each test: "shelled", "bash" and "root" are mapped; "unmapped", whose shell is
 * berth-shell too, and "other" are not. */
int application_usual(void **state);
void application_need_root(void);

/* A file of the directory's: a stack of PAM's, or berth.conf. */
void application_write_file(const char *name, const char *text);
void application_write_stack(const char *service, const char *arguments);
void application_write_config(const char *users);

/* What was said and granted before is forgotten. The caller's to end. */
pam_handle_t *application_start(const char *service, const char *user);

#endif
