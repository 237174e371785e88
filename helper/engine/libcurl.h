/* libcurl, loaded when it is needed: the 30 libraries that come with it cost a
 * start 3 to 8 ms and up to 6 MB, and a login that joins a running container
 * asks the engine nothing. So no program links it; what is called of it is
 * called through these. */
#ifndef BERTH_ENGINE_LIBCURL_H
#define BERTH_ENGINE_LIBCURL_H

#include "base/error.h"

#include <curl/curl.h>

/* Without their "curl_": curl.h has macros of the full names, which would call
 * the linker's. Their check of an option's type goes with them: an option that
 * takes a long needs one (1L). */
#define LIBCURL_FUNCTIONS(F)                                                                       \
    F(global_init)                                                                                 \
    F(slist_append)                                                                                \
    F(slist_free_all)                                                                              \
    F(easy_init)                                                                                   \
    F(easy_setopt)                                                                                 \
    F(easy_getinfo)                                                                                \
    F(easy_perform)                                                                                \
    F(easy_recv)                                                                                   \
    F(easy_send)                                                                                   \
    F(easy_strerror)                                                                               \
    F(easy_cleanup)                                                                                \
    F(multi_init)                                                                                  \
    F(multi_add_handle)                                                                            \
    F(multi_remove_handle)                                                                         \
    F(multi_fdset)                                                                                 \
    F(multi_timeout)                                                                               \
    F(multi_perform)                                                                               \
    F(multi_info_read)                                                                             \
    F(multi_strerror)                                                                              \
    F(multi_cleanup)

struct libcurl {
#define LIBCURL_MEMBER(name) typeof(curl_##name) *(name);
    LIBCURL_FUNCTIONS(LIBCURL_MEMBER)
#undef LIBCURL_MEMBER
};

/* Loaded and initialised, all functions there; it stays for the process's life,
 * and later calls give the same. NULL with an error where it isn't installed or
 * is not the library that was built for. */
const struct libcurl *libcurl_load(struct error **err);

#endif
