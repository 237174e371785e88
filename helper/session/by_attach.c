#include "config.h"

#include "session/by_attach.h"

#include "base/file.h"
#include "channel/attach.h"
#include "session/by_exec.h"
#include "session/confine.h"
#include "session/creation.h"
#include "session/forwarding.h"
#include "session/names.h"
#include "session/place.h"
#include "session/sftp_log.h"
#include "session/spec.h"

#include <errno.h>
#include <json-c/json.h>
#include <string.h>

/* What its agent and display come by, where it has one. */
static int make_folder(struct session *s, char **path, struct error **err)
{
    cleanup_fd int folder = -1;

    if (!s->request.agent[0] && !s->request.display[0])
        return 0;
    *path = creation_folder(s);
    if (!*path)
        return error_set(err, ENOMEM, "path of the runtime directory");
    folder = forwarding_make_folder(s, err);
    if (folder < 0)
        return -1;
    forwarding_start(s);
    return 0;
}

/* The container isn't looked at once more before the session runs: what the image is now
 * is asked before. */
static int place(struct session *s, struct engine *engine, struct json_object *body,
                 struct error **err)
{
    struct names names;
    struct earlier earlier = {0};
    char image[IMAGE_ID_SIZE];
    cleanup_error struct error *unknown = NULL;

    names_recall(&names, s);
    if (names.known)
        names.known = image_ask(engine, s->policy->image, image, &unknown) == 0 &&
                      strcmp(image, names.image) == 0;
    return creation_place(s, engine, body, &names, &earlier, err);
}

static int start(struct session *s, struct engine *engine, const char *folder,
                 struct attach *attach, struct error **err)
{
    struct spec_context context = {.machine = s->machine,
                                   .local = s->target.socket != NULL,
                                   .folder = folder,
                                   .x11 = s->request.display[0] != '\0',
                                   .key = s->lease.session,
                                   .network = s->network[0] ? s->network : NULL};

    if (engine_negotiate(engine, err) < 0)
        return place_unreached(s->policy, err);
    context.console_size = engine_has(engine, 42);
    context.has_window = client_window(&s->client, &context.window);
    struct json_object *body = spec_make(s->policy, &s->request, &context, err);
    if (!body)
        return -1;
    int rc = place(s, engine, body, err);
    json_object_put(body);
    if (rc < 0)
        return -1;
    if (attach_start(attach, engine, s->container, s->request.tty, context.local, err) < 0)
        return error_wrap(err, "cannot start a container");
    return 0;
}

int by_attach(struct session *s, struct error **err)
{
    cleanup_string char *folder = NULL;
    struct attach attach = {.init = -1};
    struct sftp_log log;
    bool back = false;

    if (s->policy->scope != SCOPE_SESSION)
        return by_exec(s, err);
    if (session_guard(s, err) < 0 || make_folder(s, &folder, err) < 0)
        return -1;
    struct engine *engine = engine_new(&s->target, err);
    if (!engine)
        return -1;
    http_set_watch(engine_http(engine), client_watch(&s->client));
    int rc = start(s, engine, folder, &attach, err);
    if (rc == 0) {
        session_begun(s);
        if (sftp_log_begin(&log, s))
            attach.tap = &log.tap;
        if (confine(s, &back, err) < 0 || relay_run(&s->client, &attach, &s->result, err) < 0)
            rc = error_wrap(err, "session lost");
        sftp_log_end(&log);
    }
    attach_close(&attach);
    engine_free(engine);
    return rc;
}
