#include "base/sandbox.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define HINT(setting) " (" setting " of the unit may hide it)"

static const struct hidden {
    const char *directory;
    const char *setting;
    const char *hint;
} hidden_directories[] = {
    { "/tmp/", "PrivateTmp=", HINT("PrivateTmp=") },
    { "/var/tmp/", "PrivateTmp=", HINT("PrivateTmp=") },
    { "/home/", "ProtectHome=", HINT("ProtectHome=") },
    { "/root/", "ProtectHome=", HINT("ProtectHome=") },
    { "/run/user/", "ProtectHome=", HINT("ProtectHome=") },
};

static const struct hidden *sandbox_find(const char *path)
{
    for (size_t i = 0; i < sizeof hidden_directories / sizeof hidden_directories[0]; i++) {
        const struct hidden *h = &hidden_directories[i];
        if (strncmp(path, h->directory, strlen(h->directory)) == 0)
            return h;
    }
    return NULL;
}

const char *sandbox_setting(const char *path)
{
    const struct hidden *h = sandbox_find(path);
    return h == NULL ? NULL : h->setting;
}

/* systemd sets INVOCATION_ID for services. The path of a socket in the abstract namespace begins
 * with NUL: no directory is its prefix. */
const char *sandbox_hint(const struct addr *to, int error)
{
    if (!addr_is_unix(to) || (error != ENOENT && error != EACCES) ||
        getenv("INVOCATION_ID") == NULL)
        return "";
    const struct hidden *h = sandbox_find(to->un.sun_path);
    return h == NULL ? "" : h->hint;
}
