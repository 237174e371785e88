#include "config.h"

#include "engine/hijack.h"

#include "base/file.h"
#include "base/text.h"
#include "engine/http_curl.h"
#include "engine/upgrade.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

struct hijack {
    const struct libcurl *curl;
    CURL *easy;
    curl_socket_t fd;
    bool tls;
    bool more;                  /* TLS: the last read was full, the library may hold more */
    char said[CURL_ERROR_SIZE]; /* libcurl's own words, with TLS, or "" */
    struct upgrade upgrade;
};

static ssize_t curl_errno(CURLcode rc)
{
    if (rc == CURLE_AGAIN)
        errno = EAGAIN;
    else
        errno = rc == CURLE_SEND_ERROR ? EPIPE : ECONNRESET;
    return -1;
}

static ssize_t stream_read(struct hijack *h, void *buf, size_t size)
{
    size_t n = 0;

    if (!h->tls)
        return recv(h->fd, buf, size, MSG_DONTWAIT);
    CURLcode rc = h->curl->easy_recv(h->easy, buf, size, &n);
    h->more = rc == CURLE_OK && n > 0;
    return rc == CURLE_OK ? (ssize_t)n : curl_errno(rc);
}

ssize_t hijack_write(struct hijack *h, const void *buf, size_t len)
{
    size_t n = 0;

    if (!h->tls)
        return send(h->fd, buf, len, MSG_DONTWAIT | MSG_NOSIGNAL);
    CURLcode rc = h->curl->easy_send(h->easy, buf, len, &n);
    return rc == CURLE_OK ? (ssize_t)n : curl_errno(rc);
}

ssize_t hijack_splice(struct hijack *h, int fd, size_t most)
{
    if (h->tls) {
        errno = EINVAL;
        return -1;
    }
    return splice(fd, NULL, h->fd, NULL, most, SPLICE_F_NONBLOCK);
}

ssize_t hijack_read(struct hijack *h, void *buf, size_t size)
{
    size_t ahead = upgrade_take(&h->upgrade, buf, size);

    return ahead > 0 ? (ssize_t)ahead : stream_read(h, buf, size);
}

bool hijack_pending(const struct hijack *h)
{
    return h->more || h->upgrade.start < h->upgrade.end;
}

int hijack_fd(const struct hijack *h)
{
    return h->fd;
}

void hijack_shutdown_write(struct hijack *h)
{
    /* With TLS the engine's reader sees the end without a close_notify; it
     * takes that for the end of stdin all the same. */
    shutdown(h->fd, SHUT_WR);
}

void hijack_free(struct hijack *h)
{
    if (!h)
        return;
    h->curl->easy_cleanup(h->easy);
    free(h);
}

/* Waits for `events`, until `end` on now_ms()'s clock. */
static int hijack_wait(struct http *http, struct hijack *h, short events, long long end,
                       struct error **err)
{
    struct pollfd fd = {.fd = h->fd, .events = events};
    long long left = end - now_ms();

    if (left <= 0)
        return error_set_kind(err, ERROR_LOST, "no answer in time");
    return http_curl_poll(http, &fd, 1, (int)left, err) < 0 ? -1 : 0;
}

static int hijack_send_request(struct http *http, struct hijack *h, const char *path,
                               const char *body, long long end, struct error **err)
{
    cleanup_text struct text head = {0};

    text_printf(&head,
                "POST %s%s%s HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\n"
                "Upgrade: tcp\r\n%sContent-Length: %zu\r\n\r\n",
                http_version(http)[0] ? "/v" : "", http_version(http), path,
                body ? "Content-Type: application/json\r\n" : "", body ? strlen(body) : 0);
    if (body)
        text_puts(&head, body);
    if (head.failed)
        return error_set(err, ENOMEM, "request");
    for (size_t sent = 0; sent < head.len;) {
        ssize_t n = hijack_write(h, head.data + sent, head.len - sent);
        if (n >= 0)
            sent += (size_t)n;
        else if (errno != EAGAIN && errno != EINTR)
            return error_set_kind(err, ERROR_LOST, "cannot send: %s", strerror(errno));
        else if (hijack_wait(http, h, POLLOUT, end, err) < 0)
            return -1;
    }
    return 0;
}

/* What follows the head stays for hijack_read. */
static int hijack_read_head(struct http *http, struct hijack *h, long long end, struct error **err)
{
    struct upgrade *u = &h->upgrade;

    for (;;) {
        int rc;
        ssize_t n = stream_read(h, u->bytes + u->end, sizeof u->bytes - u->end);
        if (n > 0)
            rc = upgrade_came(u, (size_t)n, err);
        else if (n == 0)
            rc = error_set_kind(err, ERROR_LOST, "the engine closed the connection");
        else if (errno != EAGAIN && errno != EINTR)
            rc = error_set_kind(err, ERROR_LOST, "cannot read: %s", strerror(errno));
        else
            rc = hijack_wait(http, h, POLLIN, end, err);
        if (rc != 0)
            return rc < 0 ? -1 : 0;
    }
}

static int hijack_handshake(struct http *http, struct hijack *h, const char *path, const char *body,
                            long timeout_ms, struct error **err)
{
    const struct libcurl *curl = h->curl;
    long long end = now_ms() + timeout_ms;
    CURLcode rc = curl->easy_setopt(h->easy, CURLOPT_CONNECT_ONLY, 1L);

    if (!rc && h->tls)
        rc = curl->easy_setopt(h->easy, CURLOPT_ERRORBUFFER, h->said);
    if (!rc)
        rc = curl->easy_perform(h->easy);
    if (!rc)
        rc = curl->easy_getinfo(h->easy, CURLINFO_ACTIVESOCKET, &h->fd);
    if (rc || h->fd == CURL_SOCKET_BAD)
        return error_set_kind(err, ERROR_LOST, "%s",
                              h->said[0] ? h->said : curl->easy_strerror(rc));
    if (hijack_send_request(http, h, path, body, end, err) < 0)
        return -1;
    return hijack_read_head(http, h, end, err);
}

struct hijack *hijack_open(struct http *http, const char *path, const char *body, long timeout_ms,
                           struct error **err)
{
    struct hijack *h = calloc(1, sizeof *h);

    if (!h) {
        error_set(err, ENOMEM, "attach");
        return NULL;
    }
    h->curl = http_libcurl(http);
    h->fd = CURL_SOCKET_BAD;
    h->easy = http_curl_easy(http, path, err);
    h->tls = http_is_tls(http);
    if (!h->easy || hijack_handshake(http, h, path, body, timeout_ms, err) < 0) {
        error_wrap(err, "engine: POST %.*s", (int)strcspn(path, "?"), path);
        hijack_free(h);
        return NULL;
    }
    return h;
}
