#include "config.h"

#include "session/place.h"

#include "base/file.h"
#include "base/text.h"
#include "engine/container.h"
#include "engine/credentials.h"
#include "engine/image.h"

#include <errno.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PROGRESS_EVERY_MS = 100, REGISTRY_CONFIG_MAX = 1024 * 1024 };

struct progress {
    int fd;
    const char *image;
    long long last; /* now_ms() of the last line */
    bool shown;
};

/* "berth: pulling debian:12-slim: 3 of 7 layers, 34.1 of 120.0 MB" */
static void show_progress(void *data, unsigned layers, unsigned layers_done, long long done,
                          long long total)
{
    struct progress *p = data;
    cleanup_text struct text line = {0};

    if (now_ms() - p->last < PROGRESS_EVERY_MS && layers_done < layers)
        return;
    p->last = now_ms();
    text_puts(&line, "\r\033[Kberth: pulling ");
    text_display(&line, p->image, 100);
    text_printf(&line, ": %u of %u layers, %.1f of %.1f MB", layers_done, layers,
                (double)done / 1e6, (double)total / 1e6);
    /* A terminal that takes nothing now misses one line of many. */
    if (write(p->fd, text_str(&line), line.len) > 0)
        p->shown = true;
}

static int pull(struct engine *engine, const struct policy *policy, int progress_fd,
                struct error **err)
{
    struct progress progress = {.fd = progress_fd, .image = policy->image};
    const char *path = policy->engine.registry_config;
    char *auth = NULL;

    if (path) {
        size_t len;
        char *config = file_read_trusted(path, TRUST_SECRET, REGISTRY_CONFIG_MAX, &len, err);
        int rc = config ? credentials_find(config, policy->image, &auth, err) : -1;
        if (config)
            explicit_bzero(config, len);
        free(config);
        if (rc < 0)
            return error_wrap(err, "registry credentials %s", path);
    }
    if (progress_fd >= 0)
        show_progress(&progress, 0, 0, 0, 0);
    int rc = image_pull(engine, policy->image, auth, progress_fd >= 0 ? show_progress : NULL,
                        &progress, err);
    if (progress.shown && write(progress_fd, "\r\033[K", 4) < 0)
        progress.shown = false;
    if (auth)
        explicit_bzero(auth, strlen(auth));
    free(auth);
    return rc;
}

static int create(struct engine *engine, const char *name, struct json_object *body,
                  struct watcher *watcher, struct error **err)
{
    watcher_tell(watcher, WATCHER_CREATING);
    int rc = container_create(engine, name, body, err);
    /* Whatever the engine answered: it is done with it, and a DELETE is sure. One
     * that said nothing may do it later. */
    if (rc == 0 || (error_kind(*err) != ERROR_LOST && error_kind(*err) != ERROR_ABANDONED))
        watcher_tell(watcher, WATCHER_CREATED);
    return rc;
}

static bool image_missing(const struct error *err)
{
    return error_kind(err) == ERROR_NOT_FOUND && strcasestr(error_text(err), "no such image");
}

/* podman 4.3 takes HostConfig.Runtime and heeds it not: what asks for a sandbox must not
 * get a container without. */
static int check_runtime(const struct engine *engine, struct json_object *body, struct error **err)
{
    struct json_object *host, *runtime;

    if (!engine_is_podman(engine) || !json_object_object_get_ex(body, "HostConfig", &host) ||
        !json_object_object_get_ex(host, "Runtime", &runtime) ||
        json_object_get_string_len(runtime) == 0)
        return 0;
    return error_set(err, 0,
                     "runtime %s: podman's API heeds none: have it in podman's containers.conf, "
                     "and none in berth.conf",
                     json_object_get_string(runtime));
}

int place_create(struct engine *engine, const struct policy *policy, const char *name,
                 struct json_object *body, struct watcher *watcher, int progress_fd,
                 struct error **err)
{
    if (check_runtime(engine, body, err) < 0)
        return -1;
    if (policy->pull == PULL_ALWAYS && pull(engine, policy, progress_fd, err) < 0)
        return -1;
    int rc = create(engine, name, body, watcher, err);
    if (rc == 0 || !image_missing(*err))
        return rc;
    if (policy->pull == PULL_NEVER)
        return error_wrap(err, "image %s is not there, and pull = never (docker pull it)",
                          policy->image);
    error_clear(err);
    if (pull(engine, policy, progress_fd, err) < 0)
        return -1;
    return create(engine, name, body, watcher, err);
}

static const char *engine_hint(const char *socket)
{
    if (!socket || access(socket, R_OK | W_OK) == 0)
        return " (does it run?)";
    return errno == EACCES ? " (this login must be in the socket's group)"
                           : " (no such socket: is it started, and endpoint right?)";
}

int place_unreached(const struct policy *policy, struct error **err)
{
    return error_wrap(err, "cannot reach the container engine at %s%s", policy->engine.endpoint,
                      engine_hint(policy->engine.socket));
}
