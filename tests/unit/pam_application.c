#include "config.h"

#include "pam_application.h"

#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

#define SHELL BERTH_LIBEXECDIR "/berth-shell"

struct application application = {.top = "/tmp/berth-pam-XXXXXX"};

/* --- what libpam and the module find in place of the C library's */

int getpwnam_r(const char *name, struct passwd *pw, char *buffer, size_t size,
               struct passwd **found)
{
    static const struct {
        const char *name, *shell;
        uid_t uid;
    } users[] = {{"shelled", SHELL, UID},
                 {"unmapped", SHELL, UID + 1},
                 {"bash", "/bin/bash", UID + 2},
                 {"other", "/bin/bash", UID + 3},
                 {"root", "/bin/bash", 0}};

    *found = NULL;
    for (size_t i = 0; i < sizeof users / sizeof *users; i++) {
        if (strcmp(name, users[i].name) != 0)
            continue;
        size_t len = (size_t)snprintf(buffer, size, "%s%c%s%c/home/x%cx", name, 0, users[i].shell,
                                      0, 0);
        if (len >= size)
            return 34; /* ERANGE: libpam comes with more */
        pw->pw_name = buffer;
        pw->pw_shell = buffer + strlen(name) + 1;
        pw->pw_dir = pw->pw_shell + strlen(pw->pw_shell) + 1;
        pw->pw_passwd = pw->pw_gecos = pw->pw_dir + strlen(pw->pw_dir) + 1;
        pw->pw_uid = users[i].uid;
        pw->pw_gid = users[i].uid;
        *found = pw;
        break;
    }
    return 0;
}

int getgrnam_r(const char *name, struct group *group, char *buffer, size_t size,
               struct group **found)
{
    static const struct {
        const char *name;
        gid_t gid;
    } all[] = {{"engine", ENGINE}, {"secrets", SECRETS}, {"root", 0}};
    static char *nobody[] = {NULL};

    (void)buffer;
    (void)size;
    *found = NULL;
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (strcmp(name, all[i].name) == 0) {
            group->gr_name = group->gr_passwd = (char *)all[i].name;
            group->gr_gid = all[i].gid;
            group->gr_mem = nobody;
            *found = group;
        }
    return 0;
}

int getgroups(int size, gid_t list[])
{
    for (size_t i = 0; size > 0 && i < application.group_count; i++)
        list[i] = application.groups[i];
    return (int)application.group_count;
}

int setgroups(size_t size, const gid_t *list)
{
    application.granted++;
    application.group_count = size;
    memcpy(application.groups, list, size * sizeof *list);
    return 0;
}

/* --- the application */

static int converse(int count, const struct pam_message **messages, struct pam_response **replies,
                    void *data)
{
    (void)data;
    *replies = calloc((size_t)count, sizeof **replies);
    for (int i = 0; i < count; i++)
        strncat(application.said, messages[i]->msg,
                sizeof application.said - strlen(application.said) - 1);
    return *replies ? PAM_SUCCESS : PAM_BUF_ERR;
}

void application_write_file(const char *name, const char *text)
{
    char path[128];

    snprintf(path, sizeof path, "%s/%s", application.top, name);
    FILE *file = fopen(path, "we");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(chmod(path, 0644), 0);
}

/* pam_berth between two modules that have a say, so that its PAM_IGNORE shows. */
void application_write_stack(const char *service, const char *arguments)
{
    char all[256], text[3 * (sizeof MODULE + sizeof all) + 256];

    snprintf(all, sizeof all, "config=%s %s", application.config, arguments);
    snprintf(text, sizeof text,
             "auth required %s %s\nauth required pam_permit.so\n"
             "account required %s %s\naccount required pam_permit.so\n"
             "session required pam_permit.so\nsession required %s %s\n",
             MODULE, all, MODULE, all, MODULE, all);
    application_write_file(service, text);
}

void application_write_config(const char *users)
{
    char text[1024];

    snprintf(text, sizeof text, "runtime_dir = \"%s/run\"\ndefaults { image = \"x\" }\n%s",
             application.top, users);
    application_write_file("berth.conf", text);
}

pam_handle_t *application_start(const char *service, const char *user)
{
    static const struct pam_conv conversation = {.conv = converse};
    pam_handle_t *pamh = NULL;

    application.said[0] = '\0';
    application.granted = 0;
    application.group_count = 1;
    application.groups[0] = OWN;
    assert_int_equal(pam_start_confdir(service, user, &conversation, application.top, &pamh),
                     PAM_SUCCESS);
    return pamh;
}

int application_make(void **state)
{
    char run[64];

    (void)state;
    if (!mkdtemp(application.top) || chmod(application.top, 0755) < 0)
        return -1;
    snprintf(application.config, sizeof application.config, "%s/berth.conf", application.top);
    snprintf(run, sizeof run, "%s/run", application.top);
    return mkdir(run, 0700) < 0 || chmod(run, 01777) < 0 ? -1 : 0;
}

int application_drop(void **state)
{
    char command[128];

    (void)state;
    snprintf(command, sizeof command, "rm -rf %s", application.top);
    return system(command);
}

int application_usual(void **state)
{
    (void)state;
    application_write_stack("sshd", "groups=engine,secrets");
    application_write_config("user \"shelled\" {}\nuser \"bash\" {}\nuser \"root\" {}\n");
    return 0;
}

void application_need_root(void)
{
    if (getuid() != 0)
        skip(); /* berth.conf and the runtime directory must be root's */
}
