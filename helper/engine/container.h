/* The calls that a session makes about its container (Docker Engine API v1.30
 * to v1.47). Names go into paths as they are: they must be made of
 * [a-zA-Z0-9_.-], as berth's own are. */
#ifndef BERTH_ENGINE_CONTAINER_H
#define BERTH_ENGINE_CONTAINER_H

#include "engine/engine.h"
#include "engine/hijack.h"
#include "engine/image.h"

#include <json-c/json_types.h>
#include <sys/types.h>

/* Creates a container; the reply's warnings are dropped. An image that isn't
 * there is ERROR_NOT_FOUND. */
int container_create(struct engine *engine, const char *name, struct json_object *body,
                     struct error **err);

/* Attaches to all three streams of a created or running container. */
struct hijack *container_attach(struct engine *engine, const char *name, struct error **err);

int container_start(struct engine *engine, const char *name, struct error **err);

/* Asks to be told of the next exit, and waits until the engine has taken it
 * down: what ends later is then not missed. The call is done when the container
 * has ended. */
struct http_call *container_wait(struct engine *engine, const char *name, struct error **err);
/* The exit status of a done wait. ERROR_LOST where the engine went away: it
 * then ends the reply without a body. */
int container_wait_status(struct http_call *wait, int *status, struct error **err);
/* The same for the answer itself. */
int container_read_status(struct json_object *reply, int *status, struct error **err);

/* Calls that a running relay starts and forgets: it frees them when done. */
struct http_call *container_resize(struct engine *engine, const char *name, unsigned rows,
                                   unsigned cols, struct error **err);
struct http_call *container_kill(struct engine *engine, const char *name, int signal,
                                 struct error **err);
struct http_call *container_inspect(struct engine *engine, const char *name, struct error **err);
/* State.Pid of a done inspect, 0 where the container doesn't run, and its Id
 * (64 hex digits), "" unknown. */
enum { CONTAINER_ID_SIZE = 65 };
pid_t container_inspect_pid(const struct http_call *inspect, char id[CONTAINER_ID_SIZE]);
/* The id that `key` of a reply holds; "" where it is none. */
void container_read_id(struct json_object *reply, const char *key, char id[CONTAINER_ID_SIZE]);

/* What a container is, and in which state. */
struct container_state {
    char id[CONTAINER_ID_SIZE];
    char image[IMAGE_ID_SIZE]; /* what it was made of; "" unknown */
    pid_t pid;                 /* 0 where it doesn't run */
    bool running, paused;
    bool started; /* it has run, once at least: there may be files in it */
    bool dead;    /* its removal has begun, and has not ended: nothing starts it again */
    int status;   /* its first process's when it ended last, 128 + a signal's number */
};
/* Asks, and hands each label of the container to `label`. ERROR_NOT_FOUND: there
 * is none of that name. */
typedef void container_label(void *data, const char *key, const char *value);
int container_ask(struct engine *engine, const char *name, struct container_state *state,
                  container_label *label, void *data, struct error **err);
/* The same for the answer itself, or NULL. */
int container_read_state(struct json_object *reply, struct container_state *state,
                         container_label *label, void *data, struct error **err);

/* Ends it (SIGKILL) where it runs, and starts it. */
int container_restart(struct engine *engine, const char *name, struct error **err);
/* Ends it, and it stays. */
int container_stop(struct engine *engine, const char *name, struct error **err);
int container_unpause(struct engine *engine, const char *name, struct error **err);

/* Ends and removes a container with its anonymous volumes, running or not.
 * Gone already or being removed is success; *found says whether it was there. */
int container_delete(struct engine *engine, const char *name, bool *found, struct error **err);

#endif
