#include "config.h"

#include "engine/libcurl.h"

#include <dlfcn.h>
#include <link.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

/* What a package must depend on stands nowhere among the needed libraries, so
 * it is noted where packagers' tools look for it
 * (https://systemd.io/ELF_DLOPEN_METADATA). */
#define NOTE_OWNER "FDO"
#define NOTE_JSON                                                                                  \
    "[{\"feature\":\"engine\",\"description\":\"Talks to the container engine\","                  \
    "\"priority\":\"required\",\"soname\":[\"" BERTH_CURL_SONAME "\"]}]"
enum { NOTE_TYPE = 0x407c0c0a };

static const struct {
    ElfW(Nhdr) header;
    char owner[sizeof NOTE_OWNER];
    char json[sizeof NOTE_JSON];
} note __attribute__((used, aligned(4), section(".note.dlopen"))) = {
    {sizeof NOTE_OWNER, sizeof NOTE_JSON, NOTE_TYPE},
    NOTE_OWNER,
    NOTE_JSON,
};

static const struct {
    const char *name;
    size_t member;
} functions[] = {
#define FUNCTION(name) {"curl_" #name, offsetof(struct libcurl, name)},
    LIBCURL_FUNCTIONS(FUNCTION)
#undef FUNCTION
};

static int find_functions(struct libcurl *curl, void *library, struct error **err)
{
    for (size_t i = 0; i < sizeof functions / sizeof *functions; i++) {
        void *address = dlsym(library, functions[i].name);
        if (!address)
            return error_set(err, 0, "cannot load libcurl (" BERTH_CURL_SONAME "): it lacks %s",
                             functions[i].name);
        memcpy((char *)curl + functions[i].member, &address, sizeof address);
    }
    return 0;
}

const struct libcurl *libcurl_load(struct error **err)
{
    /* One for the process, as the library itself is. */
    static struct libcurl curl;
    static bool loaded;

    if (loaded)
        return &curl;
    /* The plain name is looked up as those of the linked libraries were: an
     * LD_LIBRARY_PATH counts as it was at exec (SECURITY.md: whoever can set it
     * had his way before main), one set later doesn't. */
    void *library = dlopen(BERTH_CURL_SONAME, RTLD_NOW | RTLD_LOCAL);
    if (!library) {
        const char *why = dlerror();
        error_set(err, 0,
                  "cannot load libcurl (" BERTH_CURL_SONAME "): %s: install it (Debian's package "
                  "is libcurl4)",
                  why ? why : "no reason given");
        return NULL;
    }
    if (find_functions(&curl, library, err) < 0)
        return NULL;
    if (curl.global_init(CURL_GLOBAL_DEFAULT) != 0) {
        error_set(err, 0, "libcurl cannot be initialised");
        return NULL;
    }
    loaded = true;
    return &curl;
}
