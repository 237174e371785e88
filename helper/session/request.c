#include "config.h"

#include "session/request.h"

#include "session/identity.h"
#include "session/nss_alarm.h"
#include "session/person.h"
#include "session/twin.h"

#include <ctype.h>
#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

const char *request_getenv(const struct request *request, const char *name)
{
    size_t len = strlen(name);

    for (size_t i = 0; i < request->env.count; i++)
        if (strncmp(request->env.items[i], name, len) == 0 && request->env.items[i][len] == '=')
            return request->env.items[i] + len + 1;
    return NULL;
}

const char *request_kind_name(enum request_kind kind)
{
    static const char *const names[] = {"shell", "exec", "sftp", "forward"};

    return names[kind];
}

static char *two_names(const struct account *account, const char *where, const char *other)
{
    return text_format("uid %u has two names%s, %s and %s: give each its own, or have pam_berth "
                       "tell them apart",
                       (unsigned)account->uid, where, account->name, other);
}

/* Whose uid it is can't be told from the uid alone where two names share it. */
static int note_ambiguous(struct request *request, const char *user, struct error **err)
{
    const struct account *account = &request->account;
    cleanup_string char *other = NULL;

    if (twin_find("/etc/passwd", account, &other, err) < 0)
        return -1;
    if (other) {
        request->ambiguous = two_names(account, " in /etc/passwd", other);
    } else if (user && strcmp(user, account->name) != 0) {
        cleanup_person struct person named = {0};
        int rc = person_by_name(&named, user, err);
        if (rc < 0 && error_kind(*err) != ERROR_NOT_FOUND)
            return -1;
        error_clear(err);
        if (rc < 0 || named.account.uid != account->uid)
            return 0;
        request->ambiguous = two_names(account, "", user);
    } else {
        return 0;
    }
    request->twin = true;
    return request->ambiguous ? 0 : error_set(err, ENOMEM, "account");
}

static int account_set(struct account *account, const struct passwd *pw, struct error **err)
{
    free(account->name);
    free(account->home);
    account->uid = pw->pw_uid;
    account->gid = pw->pw_gid;
    account->name = strdup(pw->pw_name);
    account->home = strdup(pw->pw_dir);
    return account->name && account->home ? 0 : error_set(err, ENOMEM, "account");
}

static int read_account(struct account *account, struct error **err)
{
    account->uid = getuid();

    /* What NSS modules leave in errno tells a directory that is down from an account that is
     * gone, and no more. */
    errno = 0;
    const struct passwd *pw = getpwuid(account->uid);
    if (!pw && errno == 0)
        return error_set(err, 0, "no account has uid %u", (unsigned)account->uid);
    if (!pw)
        return error_set(err, 0,
                         "no account has uid %u, or the directory that has it (NSS) doesn't answer",
                         (unsigned)account->uid);
    return account_set(account, pw, err);
}

int request_vouch(struct request *request, const char *runtime_dir, struct error **err)
{
    struct connection *vouched = &request->vouched;
    const struct passwd *pw;

    if (!request->connection ||
        !connection_read(vouched, runtime_dir, request->connection, request->account.uid)) {
        *vouched = (struct connection){0};
        return request->ambiguous ? error_set(err, 0, "login: %s", request->ambiguous) : 0;
    }
    if (strcmp(vouched->name, request->account.name) == 0)
        return 0;
    request->twin = true;
    errno = 0;
    pw = getpwnam(vouched->name);
    if (!pw || pw->pw_uid != request->account.uid)
        return error_set(err, errno, "login: %s, as pam_berth has it, is no account of uid %u",
                         vouched->name, (unsigned)request->account.uid);
    return account_set(&request->account, pw, err) < 0 ? -1 : 1;
}

static int ask_account(struct request *request, struct error **err)
{
    nss_alarm_on(request, "tell who logs in");
    int rc = read_account(&request->account, err);
    if (rc == 0)
        rc = note_ambiguous(request, request_getenv(request, "USER"), err);
    nss_alarm_off();
    return rc;
}

/* The Subsystem line's command: "internal-sftp -u 022" or a path, not the
 * subsystem's name. */
static bool is_sftp(const char *command)
{
    static const char server[] = "/sftp-server";
    size_t len = strcspn(command, " \t");

    if (len == strlen("internal-sftp") && strncmp(command, "internal-sftp", len) == 0)
        return true;
    return len >= sizeof server - 1 &&
           memcmp(command + len - (sizeof server - 1), server, sizeof server - 1) == 0;
}

/* mosh says "mosh-server 'new' ..." unless it was told a path. */
bool request_is_mosh(const struct request *request)
{
    static const char server[] = "/mosh-server";
    const char *command = request->command ? request->command : "";
    size_t len = strcspn(command, " \t"), tail = sizeof server - 1;

    if (len == tail - 1)
        return strncmp(command, server + 1, len) == 0;
    return len >= tail && memcmp(command + len - tail, server, tail) == 0;
}

/* "192.0.2.7 50022 192.0.2.1 22" */
static void read_connection(struct request *request)
{
    const char *value = request_getenv(request, "SSH_CONNECTION");

    snprintf(request->client, sizeof request->client, "unknown");
    snprintf(request->port, sizeof request->port, "0");
    if (!value ||
        strspn(value, "0123456789abcdefABCDEF.:%_-ghijklmnopqrstuvwxyz ") != strlen(value))
        return;
    if (sscanf(value, "%63s %7s", request->client, request->port) == 2)
        request->connection = strdup(value);
}

void request_unmark(struct strings *env)
{
    size_t kept = 0;

    for (size_t i = 0; i < env->count; i++) {
        char *entry = env->items[i];
        env->items[i] = NULL;
        if (entry[0] != '+') {
            free(entry);
            continue;
        }
        memmove(entry, entry + 1, strlen(entry));
        env->items[kept++] = entry;
    }
    env->count = kept;
}

int request_parse(struct request *request, struct strings *env, bool tty, struct error **err)
{
    *request = (struct request){.env = *env, .tty = tty};
    *env = (struct strings){0};
    read_connection(request);

    const char *command = request_getenv(request, "SSH_ORIGINAL_COMMAND");
    if (command) {
        request->kind = is_sftp(command) ? REQUEST_SFTP : REQUEST_EXEC;
        request->command = strdup(command);
    }
    const char *term = request_getenv(request, "TERM");
    if (tty && term)
        request->term = strdup(term);
    if ((command && !request->command) || (tty && term && !request->term))
        return error_set(err, ENOMEM, "request");
    return 0;
}

int request_read(struct request *request, struct strings *env, struct error **err)
{
    if (request_parse(request, env, isatty(0), err) < 0)
        return -1;
    if (identity_session(request->session, err) < 0 || ask_account(request, err) < 0)
        return error_wrap(err, "login");
    return 0;
}

void request_free(struct request *request)
{
    free(request->account.name);
    free(request->account.home);
    free(request->command);
    free(request->term);
    free(request->connection);
    free(request->ambiguous);
    strings_free(&request->env);
}
