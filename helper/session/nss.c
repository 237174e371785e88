#include "config.h"

#include "session/nss.h"

#include "base/file.h"
#include "session/nss_alarm.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

/* And the name, `len` bytes. */
struct question {
    bool by_name, groups;
    uid_t uid;
    size_t len;
};

/* And `len` bytes: strings, each with its NUL. Name, home, shell, the groups; or what
 * went wrong. */
struct answer {
    int rc;
    enum error_kind kind;
    uid_t uid;
    gid_t gid;
    size_t groups, len;
};

static int put(int fd, const void *data, size_t len)
{
    const char *from = data;

    while (len > 0) {
        ssize_t n = send(fd, from, len, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return -1;
        from += n;
        len -= (size_t)n;
    }
    return 0;
}

/* Up to `end`, of now_ms(); 0: however long it takes. ETIMEDOUT where that is over. */
static int get(int fd, void *data, size_t len, long long end)
{
    char *to = data;

    while (len > 0) {
        struct pollfd ready = {.fd = fd, .events = POLLIN};
        long long left = end ? end - now_ms() : -1;
        /* What came while this process stood still is there, whatever the time. */
        int count = poll(&ready, 1, !end || left > 0 ? (int)left : 0);
        if (count == 0)
            errno = ETIMEDOUT;
        if (count == 0 || (count < 0 && errno != EINTR))
            return -1;
        if (count < 0)
            continue;
        ssize_t n = recv(fd, to, len, 0);
        if (n < 0 && errno == EINTR)
            continue;
        errno = n == 0 ? ECONNRESET : errno;
        if (n <= 0)
            return -1;
        to += n;
        len -= (size_t)n;
    }
    return 0;
}

static void add_string(struct text *strings, const char *s)
{
    text_add(strings, s, strlen(s) + 1);
}

static int look_up(struct person *person, const struct question *q, const char *name,
                   struct error **err)
{
    int rc = q->by_name ? person_by_name(person, name, err) : person_by_uid(person, q->uid, err);

    return rc == 0 && q->groups ? person_add_groups(person, err) : rc;
}

static int answer_one(int fd, const struct question *q, const char *name)
{
    struct answer answer = {0};
    cleanup_person struct person person = {0};
    cleanup_error struct error *err = NULL;
    cleanup_text struct text strings = {0};

    answer.rc = look_up(&person, q, name, &err);
    answer.kind = error_kind(err);
    if (answer.rc < 0) {
        add_string(&strings, error_text(err));
    } else {
        answer.uid = person.account.uid;
        answer.gid = person.account.gid;
        answer.groups = person.groups.count;
        add_string(&strings, person.account.name);
        add_string(&strings, person.account.home);
        add_string(&strings, person.shell);
        for (size_t i = 0; i < person.groups.count; i++)
            add_string(&strings, person.groups.items[i]);
    }
    answer.len = strings.len;
    if (strings.failed || put(fd, &answer, sizeof answer) < 0)
        return -1;
    return put(fd, strings.data, strings.len);
}

static int serve(int fd)
{
    struct question q;

    if (get(fd, &q, sizeof q, 0) < 0)
        return -1;
    cleanup_string char *name = malloc(q.len + 1);
    if (!name || get(fd, name, q.len, 0) < 0)
        return -1;
    name[q.len] = '\0';
    return answer_one(fd, &q, name);
}

static void work(int fd, pid_t parent)
{
    /* In the middle of a call that hangs it sees no end of the socket. */
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    while (getppid() == parent && serve(fd) == 0)
        ;
}

struct nss nss_open(void)
{
    struct nss nss = {.fd = -1, .pid = -1, .state = NSS_ENDED};
    const pid_t self = getpid();
    int ends[2];

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0)
        return nss;
    nss.pid = fork();
    if (nss.pid == 0) {
        close(ends[0]);
        work(ends[1], self);
        _exit(0);
    }
    close(ends[1]);
    nss.fd = ends[0];
    if (nss.pid > 0)
        nss.state = NSS_ANSWERS;
    return nss;
}

void nss_close(struct nss *nss)
{
    close_fd(&nss->fd);
    /* One that hangs in the kernel ends when it can. */
    if (nss->pid > 0 && kill(nss->pid, SIGKILL) == 0)
        (void)waitpid(nss->pid, NULL, nss->state == NSS_SILENT ? WNOHANG : 0);
    nss->pid = -1;
    nss->state = NSS_ENDED;
}

/* The next of the answer's strings, NULL where there is none. */
static char *next(char **at, const char *end)
{
    char *s = *at;

    if (s >= end)
        return NULL;
    *at += strlen(s) + 1;
    return strdup(s);
}

static int take_person(struct person *person, const struct answer *answer, char *strings,
                       bool groups, struct error **err)
{
    const char *end = strings + answer->len;
    struct account *account = &person->account;

    account->uid = answer->uid;
    account->gid = answer->gid;
    account->name = next(&strings, end);
    account->home = next(&strings, end);
    person->shell = next(&strings, end);
    for (size_t i = 0; i < answer->groups; i++)
        if (strings_take(&person->groups, next(&strings, end)) < 0)
            return error_set(err, ENOMEM, "account");
    if (groups)
        account->groups = &person->groups;
    return account->name && account->home && person->shell ? 0 : error_set(err, ENOMEM, "account");
}

static int talk(const struct nss *nss, const struct nss_query *query, struct answer *answer,
                char **strings)
{
    const struct question q = {.by_name = query->name != NULL,
                               .groups = query->groups,
                               .uid = query->uid,
                               .len = query->name ? strlen(query->name) : 0};
    const long long end = now_ms() + NSS_ALARM_S * 1000;

    if (put(nss->fd, &q, sizeof q) < 0 || put(nss->fd, query->name, q.len) < 0 ||
        get(nss->fd, answer, sizeof *answer, end) < 0)
        return -1;
    *strings = malloc(answer->len + 1);
    if (!*strings || get(nss->fd, *strings, answer->len, end) < 0)
        return -1;
    (*strings)[answer->len] = '\0';
    return 0;
}

static int no_answer(const struct nss *nss, const struct nss_query *query, struct error **err)
{
    cleanup_text struct text who = {0};

    if (query->name) {
        text_puts(&who, "account \"");
        text_escape(&who, query->name, 64);
        text_puts(&who, "\"");
    } else {
        text_printf(&who, "uid %u", (unsigned)query->uid);
    }
    if (nss->state == NSS_SILENT)
        return error_set_kind(err, ERROR_LOST,
                              "cannot look up %s: the system's user database (NSS) has not "
                              "answered for %d s",
                              text_str(&who), NSS_ALARM_S);
    return error_set_kind(err, ERROR_LOST,
                          "cannot look up %s: the process that asks the system's user database "
                          "(NSS) has ended",
                          text_str(&who));
}

int nss_ask(struct nss *nss, const struct nss_query *query, struct person *person,
            struct error **err)
{
    cleanup_string char *strings = NULL;
    struct answer answer;

    *person = (struct person){0};
    if (nss->state == NSS_ANSWERS && talk(nss, query, &answer, &strings) < 0)
        nss->state = errno == ETIMEDOUT ? NSS_SILENT : NSS_ENDED;
    if (nss->state != NSS_ANSWERS)
        return no_answer(nss, query, err);
    return answer.rc == 0 ? take_person(person, &answer, strings, query->groups, err)
                          : error_set_kind(err, answer.kind, "%s", strings);
}

bool nss_try(struct nss *nss, const struct nss_query *query, struct person *person,
             nss_failed *failed, void *data)
{
    cleanup_error struct error *err = NULL;

    if (nss_ask(nss, query, person, &err) == 0)
        return true;
    if (error_kind(err) != ERROR_NOT_FOUND && !nss->said) {
        nss->said = true;
        failed(data, error_text(err));
    }
    return false;
}
