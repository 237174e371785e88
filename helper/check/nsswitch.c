#include "config.h"

#include "check/nsswitch.h"

#include <dlfcn.h>
#include <string.h>

/* The module "ldap" is one of two: libnss-ldapd's asks nslcd by a unix socket, the older
 * libnss-ldap's the directory itself. This switch, by which nslcd keeps from asking
 * itself, is the former's alone. */
static bool ldap_is_nslcds(void)
{
    void *library = dlopen("libnss_ldap.so.2", RTLD_LAZY | RTLD_LOCAL);
    bool is = library && dlsym(library, "_nss_ldap_enablelookups");

    if (library)
        dlclose(library);
    return is;
}

static bool is_known(const char *module, size_t len)
{
    static const char *const known[] = {"files",      "compat",     "db",      "cache", "usrfiles",
                                        "altfiles",   "extrausers", "systemd", "sss",   "winbind",
                                        "mymachines", "myhostname", "resolve", NULL};

    if (len >= 4 && strncmp(module, "mdns", 4) == 0)
        return true;
    for (const char *const *k = known; *k; k++)
        if (strlen(*k) == len && strncmp(module, *k, len) == 0)
            return true;
    return len == 4 && strncmp(module, "ldap", len) == 0 && ldap_is_nslcds();
}

static int add(struct strings *modules, const char *module, size_t len)
{
    for (size_t i = 0; i < modules->count; i++)
        if (strlen(modules->items[i]) == len && strncmp(modules->items[i], module, len) == 0)
            return 0;
    return strings_take(modules, strndup(module, len));
}

/* "files [NOTFOUND=return] nis", up to the line's end. */
static int add_line(struct strings *modules, const char *at)
{
    while (*(at += strspn(at, " \t\r")) && *at != '\n' && *at != '#') {
        size_t len = *at == '[' ? strcspn(at, "]\n") : strcspn(at, " \t\r\n[#");
        if (*at != '[' && !is_known(at, len) && add(modules, at, len) < 0)
            return -1;
        at += len + (at[len] == ']');
    }
    return 0;
}

int nsswitch_find_foreign(struct strings *modules, const char *text, const char *database)
{
    size_t len = strlen(database);

    while (*text) {
        text += strspn(text, " \t");
        bool is = strncmp(text, database, len) == 0;
        const char *colon = is ? text + len + strspn(text + len, " \t") : text;
        if (is && *colon == ':' && add_line(modules, colon + 1) < 0)
            return -1;
        text += strcspn(text, "\n");
        text += *text == '\n';
    }
    return 0;
}
