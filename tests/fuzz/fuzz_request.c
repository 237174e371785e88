/* What sshd hands over of what a client says: the environment, as /proc/PID/environ has it,
 * and what becomes of it on its way into a container: variables, a command, the engine's JSON
 * and the guest's START. */
#include "config.h"

#include "claim.h"

#include "policy/command.h"
#include "protocol/start.h"
#include "session/auth_info.h"
#include "session/command.h"
#include "session/environment.h"
#include "session/launch.h"
#include "session/request.h"
#include "session/sftp.h"
#include "session/spec.h"
#include "session/x11.h"

#include <getopt.h>
#include <json-c/json.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define S(text) ((char *)(text))

static char *some[] = {S("LANG"), S("LC_*"), NULL}, *all[] = {S("*"), NULL};
static char *ours[] = {S("EDITOR=vi"), S("LANG=C.UTF-8"), NULL};
static char *git[] = {S("git-* '*'"), NULL};

/* As little as what is asked for here wants of a policy. */
static const struct policy policies[] = {
    {.image = S("i"),
     .user = S("2001:2001"),
     .network = S("none"),
     .shell = S("/bin/sh"),
     .umask = DEFAULT_UMASK,
     .accept_env = {some, 2},
     .sftp = SFTP_IMAGE,
     .env = {ours, 2}},
    {.image = S("i"),
     .user = S("2001:2001"),
     .network = S("none"),
     .umask = 0077,
     .home_at = S("/home/alice"),
     .accept_env = {all, 1},
     .sftp = SFTP_IMAGE,
     .sftp_audit = SFTP_AUDIT_YES,
     .sftp_root = S("/srv/100%"),
     .sftp_read_only = true},
    {.image = S("i"),
     .user = S("0:0"),
     .network = S("none"),
     .umask = DEFAULT_UMASK,
     .accept_env = {all, 1},
     .sftp = SFTP_IMAGE,
     .commands = {git, 1},
     .force_command = S("exec \"$SSH_ORIGINAL_COMMAND\"")},
};

/* The variables in `data`, each one's end a NUL. */
static void read_variables(struct strings *env, const uint8_t *data, size_t size)
{
    while (size > 0) {
        size_t len = strnlen((const char *)data, size);
        claim(strings_take(env, strndup((const char *)data, len)) == 0);
        size -= len < size ? len + 1 : size;
        data += len + 1;
    }
}

static bool is_word(const char *s)
{
    return s[0] && !s[strcspn(s, " \"\\=\x7f")] && utf8_valid(s, strlen(s));
}

static void check_request(const struct request *r)
{
    const char *command = request_getenv(r, "SSH_ORIGINAL_COMMAND");

    claim(is_word(r->client) && is_word(r->port));
    claim(command ? strcmp(command, r->command) == 0 : !r->command);
    claim((r->kind == REQUEST_SHELL) == !command && (!r->term || r->tty));
    claim(r->connection || strcmp(r->port, "0") == 0);
    claim(!request_is_mosh(r) || r->kind == REQUEST_EXEC);
}

/* What a client may say is in it where accept_env lets it in, and never says what sshd or
 * berth does. */
static void check_environment(const struct strings *env, const struct policy *p,
                              const struct request *r, bool any_bytes)
{
    static const char *const own[] = {
        "USER=",  "LOGNAME=", "HOME=", "SSH_CONNECTION=", "SSH_AUTH_SOCK=", "DISPLAY=",
        "SHELL=", "SHLVL=",   "TERM="};
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_0123456789";
    size_t count[sizeof own / sizeof *own] = {0};
    const char *user = NULL;

    for (size_t i = 0; i < env->count; i++) {
        const char *entry = env->items[i];
        size_t name = strspn(entry, letters);
        claim(name > 0 && entry[name] == '=' && !strchr("0123456789", entry[0]));
        claim(any_bytes || utf8_valid(entry, strlen(entry)));
        for (size_t j = 0; j < sizeof own / sizeof *own; j++)
            count[j] += strncmp(entry, own[j], strlen(own[j])) == 0;
        if (strncmp(entry, "USER=", 5) == 0)
            user = entry + 5;
        claim(strncmp(entry, "SSH_ORIGINAL_COMMAND=", 21) != 0 ||
              (p->force_command && strcmp(entry + 21, r->command) == 0));
    }
    for (size_t j = 0; j < sizeof own / sizeof *own; j++)
        claim(count[j] <= 1);
    claim(user && strcmp(user, r->account.name) == 0);
}

/* printf's %b, as far as command.c writes it. */
static bool is_escaped(const char *escaped, const char *command)
{
    for (; *command; command++) {
        unsigned char byte = (unsigned char)*escaped++;
        if (byte >= 0x80)
            return false;
        if (byte == '\\') {
            char digits[4] = "";
            if (*escaped++ != '0')
                return false;
            memcpy(digits, escaped, strnlen(escaped, 3));
            escaped += strlen(digits);
            byte = (unsigned char)strtoul(digits, NULL, 8);
        }
        if (byte != (unsigned char)*command)
            return false;
    }
    return *escaped == '\0';
}

/* As sftp-server(8) reads them: nothing stands against what berth.conf says. */
static void check_sftp(char **argv, size_t count, const struct policy *p)
{
    const char *folder = NULL, *level = NULL;
    bool read_only = false, to_stderr = false;
    int option;

    optind = 0;
    opterr = 0;
    while ((option = getopt((int)count, argv, "d:f:l:P:p:Q:u:cehR")) != -1) {
        claim(!strchr("?chQ", option));
        claim(option != 'f' || p->sftp_audit != SFTP_AUDIT_YES);
        folder = option == 'd' ? optarg : folder;
        level = option == 'l' ? optarg : level;
        read_only = read_only || option == 'R';
        to_stderr = to_stderr || option == 'e';
    }
    claim(optind == (int)count);
    claim(!p->sftp_root || (folder && strcmp(folder, "/srv/100%%") == 0));
    claim(!p->sftp_read_only || read_only);
    claim(p->sftp_audit != SFTP_AUDIT_YES ||
          (to_stderr && level && strcmp(level, "QUIET") != 0 && strcmp(level, "ERROR") != 0));
}

static void check_command(struct strings *argv, const struct policy *p, const struct request *r)
{
    const char *last = argv->items[argv->count - 1];
    const char *command = p->force_command ? p->force_command : r->command;

    for (size_t i = 0; i < argv->count; i++)
        claim(strlen(argv->items[i]) <= ARGUMENT_MAX &&
              utf8_valid(argv->items[i], strlen(argv->items[i])));
    if (!command || sftp_is_served(p, r))
        return;
    claim(utf8_valid(command, strlen(command)) ? strcmp(last, command) == 0
                                               : is_escaped(last, command));
}

static void check_json(struct json_object *body, const struct strings *argv,
                       const struct strings *env)
{
    struct json_tokener *strict = json_tokener_new();
    const char *text = json_object_to_json_string_ext(body, JSON_C_TO_STRING_PLAIN);
    const struct strings *lists[] = {argv, env};
    static const char *const keys[] = {"Entrypoint", "Env"};

    claim(strict && text);
    json_tokener_set_flags(strict, JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8);
    struct json_object *again = json_tokener_parse_ex(strict, text, (int)strlen(text) + 1);
    claim(again && json_object_equal(again, body));
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) {
        struct json_object *list = json_object_object_get(again, keys[i]);
        claim(json_object_array_length(list) == lists[i]->count);
        for (size_t j = 0; j < lists[i]->count; j++)
            claim(strcmp(json_object_get_string(json_object_array_get_idx(list, j)),
                         lists[i]->items[j]) == 0);
    }
    json_object_put(again);
    json_tokener_free(strict);
}

static void check_attach(const struct policy *p, const struct request *r)
{
    static const struct spec_context context = {
        .process = SPEC_SESSION, .machine = "0", .local = true, .key = "0123456789abcdef"};
    static const struct command_context plain = {.bundle = true, .sure = true};
    cleanup_strings struct strings argv = {0}, env = {0};
    cleanup_error struct error *no_command = NULL, *no_env = NULL, *no_body = NULL;

    bool has_command = command_make(&argv, p, r, &plain, &no_command) == 0;
    claim(has_command == !no_command);
    if (has_command)
        check_command(&argv, p, r);
    bool has_env = environment_make(&env, p, r, false, &no_env) == 0;
    claim(has_env == !no_env);
    if (has_env)
        check_environment(&env, p, r, false);
    struct json_object *body = spec_make(p, r, &context, &no_body);
    claim((body != NULL) == (has_command && has_env));
    if (body)
        check_json(body, &argv, &env);
    json_object_put(body);
}

/* To the guest all bytes pass. */
static void check_direct(const struct policy *p, const struct request *r)
{
    static const struct client client = {.tty = false};
    cleanup_text struct text payload = {0};
    cleanup_error struct error *err = NULL;
    const char *command = p->force_command ? p->force_command : r->command, *why = NULL;
    struct start start;

    if (launch_make(&payload, p, r, &client, &err) < 0) {
        claim(err != NULL);
        return;
    }
    claim(start_read(&start, payload.data, payload.len, &why) == 0);
    check_environment(&start.env, p, r, true);
    if (sftp_is_served(p, r)) {
        char **argv = calloc(start.argv.count + 2, sizeof *argv);
        claim(argv && start.kind == START_PROGRAM);
        argv[0] = S("sftp-server");
        for (size_t i = 0; i < start.argv.count; i++)
            argv[i + 1] = start.argv.items[i];
        if (p->sftp_audit == SFTP_AUDIT_YES)
            check_sftp(argv, start.argv.count + 1, p);
        free(argv);
    } else {
        claim(command ? strcmp(start.argv.items[0], command) == 0 : start.kind == START_LOGIN);
    }
    start_clear(&start);
}

/* AUTH_INFO stands for the file that SSH_USER_AUTH names. */
static void check_texts(const struct request *r)
{
    char key[REQUEST_KEY_SIZE];
    struct x11 x11;
    cleanup_error struct error *err = NULL;
    const char *display = request_getenv(r, "DISPLAY"), *info = request_getenv(r, "AUTH_INFO");

    if (display && x11_read(&x11, display, &err) == 0)
        claim(x11.number <= 65535 - X11_PORT && x11.screen <= 255);
    auth_info_read(key, info ? info : "");
    claim(key[0] == '\0' || (strncmp(key, "SHA256:", 7) == 0 && strlen(key) == 50));
}

/* The first byte: 1 with a terminal, 2 by berth-shell, and which policy. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct strings env = {0};
    struct request request;
    cleanup_error struct error *err = NULL;

    if (size < 1)
        return 0;
    const struct policy *p = &policies[(data[0] >> 2) % (sizeof policies / sizeof *policies)];
    read_variables(&env, data + 1, size - 1);
    if (data[0] & 2)
        request_unmark(&env);
    claim(request_parse(&request, &env, data[0] & 1, &err) == 0 && env.count == 0);
    request.account = (struct account){
        .name = strdup("alice"), .home = strdup("/home/alice"), .uid = 2001, .gid = 2001};
    memcpy(request.session, "9f8e7d6c5b4a3921", 17);
    claim(request.account.name && request.account.home);
    check_request(&request);
    check_texts(&request);
    if (request.command)
        (void)command_allowed(&policies[2].commands, request.command);
    check_attach(p, &request);
    /* A terminal's size is asked of descriptor 0. */
    if (!request.tty)
        check_direct(p, &request);
    request_free(&request);
    return 0;
}
