#include "config.h"

#include "session/by_attach.h"

#include "channel/attach.h"
#include "session/by_exec.h"
#include "session/confine.h"
#include "session/place.h"
#include "session/spec.h"

#include <json-c/json.h>

static int start(struct session *s, struct engine *engine, struct attach *attach,
                 struct error **err)
{
    struct spec_context context = {
        .machine = s->machine, .local = s->target.socket != NULL, .key = s->lease.session};

    if (engine_negotiate(engine, err) < 0)
        return place_unreached(s->policy, err);
    context.console_size = engine_has(engine, 42);
    context.has_window = client_window(&s->client, &context.window);
    struct json_object *body = spec_make(s->policy, &s->request, &context, err);
    if (!body)
        return -1;
    int rc = place_create(engine, s->policy, s->container, body, &s->watcher,
                          s->request.tty ? 2 : -1, err);
    json_object_put(body);
    if (rc < 0)
        return error_wrap(err, "cannot create a container");
    if (attach_start(attach, engine, s->container, s->request.tty, context.local, err) < 0)
        return error_wrap(err, "cannot start a container");
    return 0;
}

int by_attach(struct session *s, struct error **err)
{
    struct attach attach = {.init = -1};
    bool back = false;

    if (s->policy->scope != SCOPE_SESSION)
        return by_exec(s, err);
    if (session_guard(s, err) < 0)
        return -1;
    struct engine *engine = engine_new(&s->target, err);
    if (!engine)
        return -1;
    http_set_watch(engine_http(engine), client_watch(&s->client));
    int rc = start(s, engine, &attach, err);
    if (rc == 0) {
        session_begun(s);
        if (confine(s, &back, err) < 0 || relay_run(&s->client, &attach, &s->result, err) < 0)
            rc = error_wrap(err, "session lost");
    }
    attach_close(&attach);
    engine_free(engine);
    return rc;
}
