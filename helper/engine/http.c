#include "config.h"

#include "engine/http.h"

#include "base/file.h"
#include "base/text.h"
#include "engine/http_curl.h"
#include "engine/reply.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/select.h>

enum { HEADERS_MAX = 32 * 1024, WATCH_MAX = 8 };

struct http {
    struct http_target target;
    const struct libcurl *curl;
    CURLM *multi;
    const struct http_watch *watch;
    char version[16];
};

struct http_call {
    struct http *http;
    CURL *easy;
    struct curl_slist *headers;
    struct text reply_headers; /* "name: value\n" lines */
    struct text body;
    int (*sink)(void *data, const char *bytes, size_t len);
    void *data;
    long idle_ms;
    long long last_byte; /* now_ms() */
    bool done, header_seen, too_large, sink_failed, idle;
    CURLcode result;
    char what[96];              /* "POST /containers/create", for errors */
    char said[CURL_ERROR_SIZE]; /* libcurl's own words, with TLS, or "" */
};

struct http *http_new(const struct http_target *target, struct error **err)
{
    const struct libcurl *curl = libcurl_load(err);

    if (!curl)
        return NULL;
    struct http *http = calloc(1, sizeof *http);
    if (http)
        http->multi = curl->multi_init();
    if (!http || !http->multi) {
        free(http);
        error_set(err, ENOMEM, "engine connection");
        return NULL;
    }
    http->curl = curl;
    http->target = *target;
    return http;
}

void http_free(struct http *http)
{
    if (!http)
        return;
    http->curl->multi_cleanup(http->multi);
    free(http);
}

void http_set_version(struct http *http, const char *version)
{
    snprintf(http->version, sizeof http->version, "%s", version);
}

const char *http_version(const struct http *http)
{
    return http->version;
}

void http_set_watch(struct http *http, const struct http_watch *watch)
{
    http->watch = watch;
}

const struct libcurl *http_libcurl(const struct http *http)
{
    return http->curl;
}

bool http_is_tls(const struct http *http)
{
    return !http->target.socket;
}

CURL *http_curl_easy(const struct http *http, const char *path, struct error **err)
{
    const struct http_target *t = &http->target;
    const struct libcurl *curl = http->curl;
    char url[HTTP_URL_MAX];
    int len = snprintf(url, sizeof url, "%s%s%s%s%s", t->socket ? "http://" : "https://",
                       t->socket ? "localhost" : t->host, http->version[0] ? "/v" : "",
                       http->version, path);

    if (len < 0 || (size_t)len >= sizeof url) {
        error_set(err, 0, "engine request path is longer than %d bytes", HTTP_URL_MAX);
        return NULL;
    }
    CURL *easy = curl->easy_init();
    if (!easy) {
        error_set(err, ENOMEM, "engine request");
        return NULL;
    }
    CURLcode rc = curl->easy_setopt(easy, CURLOPT_URL, url);
    /* Proxy variables would lead elsewhere; the engine is where the file says. */
    if (!rc)
        rc = curl->easy_setopt(easy, CURLOPT_PROXY, "");
    if (!rc)
        rc = curl->easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    if (!rc)
        rc = curl->easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, (long)CONNECT_TIMEOUT_MS);
    if (!rc)
        rc = curl->easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    if (!rc)
        rc = curl->easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L);
    if (!rc && t->socket)
        rc = curl->easy_setopt(easy, CURLOPT_UNIX_SOCKET_PATH, t->socket);
    if (!rc && !t->socket)
        rc = curl->easy_setopt(easy, CURLOPT_CAINFO, t->tls_ca);
    /* That one authority, none of the system's beside it. */
    if (!rc && !t->socket)
        rc = curl->easy_setopt(easy, CURLOPT_CAPATH, NULL);
    if (!rc && !t->socket)
        rc = curl->easy_setopt(easy, CURLOPT_SSLCERT, t->tls_cert);
    if (!rc && !t->socket)
        rc = curl->easy_setopt(easy, CURLOPT_SSLKEY, t->tls_key);
    if (rc) {
        error_set(err, 0, "engine request: %s", curl->easy_strerror(rc));
        curl->easy_cleanup(easy);
        return NULL;
    }
    return easy;
}

int http_curl_poll(const struct http *http, struct pollfd *fds, size_t count, int timeout_ms,
                   struct error **err)
{
    struct pollfd all[HTTP_POLL_MAX + WATCH_MAX];
    const struct http_watch *watch = http->watch;
    size_t watched = watch ? watch->count : 0;

    if (count > HTTP_POLL_MAX || watched > WATCH_MAX)
        return error_set(err, 0, "too many descriptors to wait for");
    memcpy(all, fds, count * sizeof *fds);
    if (watched)
        memcpy(all + count, watch->fds, watched * sizeof *all);
    int n = poll(all, count + watched, timeout_ms);
    if (n < 0 && errno != EINTR)
        return error_set(err, errno, "poll");
    memcpy(fds, all, count * sizeof *fds);
    if (watch) {
        for (size_t i = 0; i < watched; i++)
            watch->fds[i].revents = n > 0 ? all[count + i].revents : 0;
        if (watch->check(watch->data))
            return error_set_kind(err, ERROR_ABANDONED, "given up: the session is over");
    }
    return n > 0;
}

static size_t on_header(char *bytes, size_t size, size_t n, void *data)
{
    struct http_call *call = data;
    size_t len = size * n;

    call->last_byte = now_ms();
    if (call->reply_headers.len + len > HEADERS_MAX) {
        call->too_large = true;
        return 0;
    }
    if (len <= 2) /* the empty line: the header is whole, unless it was a 1xx */
        call->header_seen = http_call_status(call) >= 200;
    text_add(&call->reply_headers, bytes, len);
    return len;
}

static size_t on_body(char *bytes, size_t size, size_t n, void *data)
{
    struct http_call *call = data;
    size_t len = size * n;

    call->last_byte = now_ms();
    if (call->sink && http_call_status(call) / 100 == 2) {
        call->sink_failed = call->sink(call->data, bytes, len) != 0;
        return call->sink_failed ? 0 : len;
    }
    if (call->body.len + len > HTTP_BODY_MAX) {
        call->too_large = true;
        return 0;
    }
    text_add(&call->body, bytes, len);
    return call->body.failed ? 0 : len;
}

static CURLcode set_method(struct http_call *call, const struct http_request *request)
{
    const struct libcurl *curl = call->http->curl;
    const char *body = request->body;
    CURLcode rc = CURLE_OK;

    if (strcmp(request->method, "GET") == 0)
        return rc;
    if (!body && strcmp(request->method, "POST") == 0)
        body = "";
    if (body)
        rc = curl->easy_setopt(call->easy, CURLOPT_POSTFIELDSIZE,
                               (long)(request->body_type ? request->body_len : strlen(body)));
    if (!rc && body)
        rc = curl->easy_setopt(call->easy, CURLOPT_COPYPOSTFIELDS, body);
    if (!rc)
        rc = curl->easy_setopt(call->easy, CURLOPT_CUSTOMREQUEST, request->method);
    return rc;
}

struct http_call *http_start(struct http *http, const struct http_request *request,
                             struct error **err)
{
    const struct libcurl *curl = http->curl;
    struct http_call *call = calloc(1, sizeof *call);

    if (!call) {
        error_set(err, ENOMEM, "engine request");
        return NULL;
    }
    call->http = http;
    call->sink = request->sink;
    call->data = request->data;
    call->idle_ms = request->idle_ms;
    call->last_byte = now_ms();
    snprintf(call->what, sizeof call->what, "%s %.*s", request->method,
             (int)strcspn(request->path, "?"), request->path);
    call->easy = http_curl_easy(http, request->path, err);
    if (!call->easy) {
        http_call_free(call);
        return NULL;
    }
    /* curl would wait for "100 Continue" before a body of over 1 KiB. */
    call->headers = curl->slist_append(NULL, "Expect:");
    if (request->body) {
        char type[64];
        snprintf(type, sizeof type, "Content-Type: %s",
                 request->body_type ? request->body_type : "application/json");
        call->headers = curl->slist_append(call->headers, type);
    }
    if (request->header)
        call->headers = curl->slist_append(call->headers, request->header);
    CURLcode rc = curl->easy_setopt(call->easy, CURLOPT_HTTPHEADER, call->headers);
    if (!rc)
        rc = set_method(call, request);
    if (!rc && http_is_tls(http))
        rc = curl->easy_setopt(call->easy, CURLOPT_ERRORBUFFER, call->said);
    if (!rc && request->timeout_ms)
        rc = curl->easy_setopt(call->easy, CURLOPT_TIMEOUT_MS, request->timeout_ms);
    if (!rc)
        rc = curl->easy_setopt(call->easy, CURLOPT_HEADERFUNCTION, on_header);
    if (!rc)
        rc = curl->easy_setopt(call->easy, CURLOPT_HEADERDATA, call);
    if (!rc)
        rc = curl->easy_setopt(call->easy, CURLOPT_WRITEFUNCTION, on_body);
    if (!rc)
        rc = curl->easy_setopt(call->easy, CURLOPT_WRITEDATA, call);
    if (!rc)
        rc = curl->easy_setopt(call->easy, CURLOPT_PRIVATE, call);
    if (rc || curl->multi_add_handle(http->multi, call->easy) != CURLM_OK) {
        error_set(err, 0, "engine request: %s", curl->easy_strerror(rc));
        http_call_free(call);
        return NULL;
    }
    return call;
}

void http_call_free(struct http_call *call)
{
    if (!call)
        return;
    const struct libcurl *curl = call->http->curl;
    if (call->easy) {
        curl->multi_remove_handle(call->http->multi, call->easy);
        curl->easy_cleanup(call->easy);
    }
    curl->slist_free_all(call->headers);
    text_free(&call->reply_headers);
    text_free(&call->body);
    free(call);
}

bool http_call_done(const struct http_call *call)
{
    return call->done;
}

long http_call_status(const struct http_call *call)
{
    long status = 0;

    call->http->curl->easy_getinfo(call->easy, CURLINFO_RESPONSE_CODE, &status);
    return status;
}

const char *http_call_body(const struct http_call *call, size_t *len)
{
    if (len)
        *len = call->body.len;
    return text_str(&call->body);
}

bool http_call_header(const struct http_call *call, const char *name, char *value, size_t size)
{
    size_t len = strlen(name);
    const char *line = text_str(&call->reply_headers);

    while (line && *line) {
        if (strncasecmp(line, name, len) == 0 && line[len] == ':') {
            line += len + 1;
            line += strspn(line, " \t");
            snprintf(value, size, "%.*s", (int)strcspn(line, "\r\n"), line);
            return true;
        }
        line = strchr(line, '\n');
        line = line ? line + 1 : NULL;
    }
    return false;
}

int http_call_result(struct http_call *call, struct error **err)
{
    const struct libcurl *curl = call->http->curl;
    long status = http_call_status(call);

    if (call->too_large)
        return error_set(err, 0,
                         "engine: %s: the reply is over %d bytes; is this a container "
                         "engine?",
                         call->what, HTTP_BODY_MAX);
    if (call->idle)
        return error_set_kind(err, ERROR_LOST, "engine: %s: no byte for %ld s", call->what,
                              call->idle_ms / 1000);
    if (call->sink_failed)
        return error_set(err, 0, "engine: %s: given up", call->what);
    if (call->result == CURLE_OPERATION_TIMEDOUT)
        return error_set_kind(err, ERROR_LOST, "engine: %s: no answer in time (%s)", call->what,
                              curl->easy_strerror(call->result));
    if (call->result != CURLE_OK) {
        long oserr = 0;
        curl->easy_getinfo(call->easy, CURLINFO_OS_ERRNO, &oserr);
        /* The code alone doesn't say what is wrong with which certificate. */
        return error_set_kind(err, ERROR_LOST, "engine: %s: %s%s%s", call->what,
                              call->said[0] ? call->said : curl->easy_strerror(call->result),
                              oserr ? ": " : "", oserr ? strerror((int)oserr) : "");
    }
    if (!call->header_seen)
        return error_set_kind(err, ERROR_LOST, "engine: %s: the reply was cut", call->what);
    if (status / 100 == 2 || status == 304)
        return 0;

    cleanup_string char *message = reply_message(text_str(&call->body));
    enum error_kind kind = ERROR_OTHER;
    if (status == 404)
        kind = ERROR_NOT_FOUND;
    else if (status == 409)
        kind = ERROR_CONFLICT;
    return error_set_kind(err, kind, "engine: %s: %s (HTTP %ld)", call->what,
                          message ? message : "", status);
}

size_t http_poll_fill(struct http *http, struct pollfd *fds, int *timeout_ms)
{
    fd_set in, out, bad;
    int most = -1;
    size_t count = 0;
    long wanted = -1;

    FD_ZERO(&in);
    FD_ZERO(&out);
    FD_ZERO(&bad);
    http->curl->multi_fdset(http->multi, &in, &out, &bad, &most);
    for (int fd = 0; fd <= most && count < HTTP_POLL_MAX; fd++) {
        short events = 0;
        if (FD_ISSET(fd, &in))
            events |= POLLIN;
        if (FD_ISSET(fd, &out))
            events |= POLLOUT;
        if (events)
            fds[count++] = (struct pollfd){.fd = fd, .events = events};
    }
    http->curl->multi_timeout(http->multi, &wanted);
    /* A call that libcurl is still resolving or connecting may have no
     * descriptor yet; libcurl's advice is to look again soon. */
    if (wanted < 0 && most < 0)
        wanted = 100;
    if (wanted >= 0 && (*timeout_ms < 0 || wanted < *timeout_ms))
        *timeout_ms = (int)wanted;
    return count;
}

int http_poll_dispatch(struct http *http, struct error **err)
{
    const struct libcurl *curl = http->curl;
    int running, left;
    CURLMsg *message;
    CURLMcode rc = curl->multi_perform(http->multi, &running);

    if (rc != CURLM_OK)
        return error_set(err, 0, "engine: %s", curl->multi_strerror(rc));
    while ((message = curl->multi_info_read(http->multi, &left))) {
        struct http_call *call = NULL;
        if (message->msg != CURLMSG_DONE)
            continue;
        curl->easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **)&call);
        call->done = true;
        call->result = message->data.result;
    }
    return 0;
}

/* One turn: wait for something to do, and do it. */
static int http_turn(struct http *http, int timeout_ms, struct error **err)
{
    struct pollfd fds[HTTP_POLL_MAX];
    size_t count = http_poll_fill(http, fds, &timeout_ms);

    if (http_curl_poll(http, fds, count, timeout_ms, err) < 0)
        return -1;
    return http_poll_dispatch(http, err);
}

int http_finish(struct http *http, struct http_call *call, struct error **err)
{
    if (http_poll_dispatch(http, err) < 0)
        return -1;
    while (!call->done) {
        if (http_turn(http, call->idle_ms ? 1000 : -1, err) < 0)
            return error_wrap(err, "%s", call->what);
        if (!call->done && call->idle_ms && now_ms() - call->last_byte > call->idle_ms)
            call->done = call->idle = true;
    }
    return http_call_result(call, err);
}

int http_await_header(struct http *http, struct http_call *call, long timeout_ms,
                      struct error **err)
{
    long long end = now_ms() + timeout_ms;

    if (http_poll_dispatch(http, err) < 0)
        return -1;
    while (!call->done && !call->header_seen) {
        long long left = end - now_ms();
        if (left <= 0)
            return error_set_kind(err, ERROR_LOST, "engine: %s: no answer in %ld s", call->what,
                                  timeout_ms / 1000);
        if (http_turn(http, (int)left, err) < 0)
            return error_wrap(err, "%s", call->what);
    }
    if (!call->done && http_call_status(call) / 100 == 2)
        return 0;
    return http_finish(http, call, err);
}
