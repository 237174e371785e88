/* A command in a container that runs (Docker Engine API, "Exec"). An exec can't be
 * signalled: who wants to must know its process inside. */
#ifndef BERTH_ENGINE_EXEC_H
#define BERTH_ENGINE_EXEC_H

#include "base/text.h"
#include "engine/container.h"

enum { EXEC_ID_SIZE = 65 };

/* argv and environment are borrowed. */
struct exec_command {
    const struct strings *argv, *env; /* env is on top of the container's; or NULL */
    const char *user;                 /* "0:0"; NULL: the container's */
    bool attach;                      /* with stdin, stdout and stderr */
    bool tty;
};

/* Makes it, to be started. ERROR_NOT_FOUND: there is no such container,
 * ERROR_CONFLICT: it doesn't run, or is paused. */
int exec_create(struct engine *engine, const char *container, const struct exec_command *command,
                char id[EXEC_ID_SIZE], struct error **err);
/* Starts one that has streams, and gets them. That it can't be run stands in the
 * stream, in the engine's words. */
struct hijack *exec_start(struct engine *engine, const char *id, bool tty, struct error **err);

/* One without streams, whose end nobody waits for: a call that makes it, and when
 * that is done, one that starts what it made. */
struct http_call *exec_make(struct engine *engine, const char *container,
                            const struct strings *argv, struct error **err);
struct http_call *exec_let_run(struct engine *engine, const struct http_call *made,
                               struct error **err);

struct http_call *exec_resize(struct engine *engine, const char *id, unsigned rows, unsigned cols,
                              struct error **err);
struct http_call *exec_inspect(struct engine *engine, const char *id, struct error **err);

struct exec_state {
    bool running;
    int status;                        /* the exit status, where it has ended */
    pid_t pid;                         /* as the engine's machine counts, 0 unknown */
    char container[CONTAINER_ID_SIZE]; /* the id, "" unknown */
};
/* Of a done inspect. ERROR_LOST where the engine went away. */
int exec_state_read(struct http_call *inspect, struct exec_state *state, struct error **err);

/* What the answers say to who made one, and who asked for its state. */
int exec_read_id(struct json_object *reply, char id[EXEC_ID_SIZE], struct error **err);
int exec_read_state(struct json_object *reply, struct exec_state *state, struct error **err);

#endif
