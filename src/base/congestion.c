#include "base/congestion.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/utsname.h>
#include <unistd.h>

#define NAMES_MAX 256 /* of a list in a message; longer lists are cut */

#define AVAILABLE "/proc/sys/net/ipv4/tcp_available_congestion_control"
#define ALLOWED   "/proc/sys/net/ipv4/tcp_allowed_congestion_control"

struct names {
    bool is_known;   /* false: /proc is not mounted, as in a chroot */
    char text[2048]; /* the kernel's TCP_CA_BUF_MAX */
};

static void read_names(struct names *n, const char *path)
{
    FILE *f = fopen(path, "re");
    n->is_known = f != NULL && fgets(n->text, sizeof n->text, f) != NULL;
    if (n->is_known)
        n->text[strcspn(n->text, "\n")] = '\0';
    if (f != NULL)
        fclose(f);
}

/* Names are separated by spaces. */
static bool has_name(const struct names *n, const char *name)
{
    size_t len = strlen(name);
    for (const char *p = n->text; *p != '\0'; p += strspn(p, " ")) {
        size_t word = strcspn(p, " ");
        if (word == len && memcmp(p, name, len) == 0)
            return true;
        p += word;
    }
    return false;
}

/* modules.dep has a line "kernel/net/ipv4/tcp_NAME.ko...:" for each module. */
static bool has_module(const char *name)
{
    struct utsname system;
    char path[sizeof system.release + 32];
    char file[64];
    char *line = NULL;
    size_t size = 0;
    bool found = false;
    if (uname(&system) == -1)
        return false;
    snprintf(path, sizeof path, "/lib/modules/%s/modules.dep", system.release);
    snprintf(file, sizeof file, "/tcp_%s.ko", name);
    FILE *f = fopen(path, "re");
    while (f != NULL && !found && getline(&line, &size, f) != -1) {
        line[strcspn(line, ":")] = '\0';
        found = strstr(line, file) != NULL;
    }
    free(line);
    if (f != NULL)
        fclose(f);
    return found;
}

/* Sets the algorithm on a socket of its own: with CAP_NET_ADMIN the kernel loads the module. */
static int try_name(const char *name)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd == -1 && errno == EAFNOSUPPORT)
        fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd == -1)
        return 0; /* a lack of descriptors says nothing about the name */
    int rc = setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, name, (socklen_t)strlen(name));
    rc = rc == -1 ? -errno : 0;
    close(fd);
    return rc;
}

/* Both write the reason, and return -1. */
static int why_missing(const struct names *available, const char *name, bool module, char *why)
{
    int n = snprintf(why, CONGESTION_WHY_MAX, "not available, expected one of: %.*s", NAMES_MAX,
                     available->is_known ? available->text : "those of this kernel");
    if (module && n > 0 && n < CONGESTION_WHY_MAX)
        snprintf(why + n, CONGESTION_WHY_MAX - (size_t)n, "; modprobe tcp_%s loads its module",
                 name);
    return -1;
}

static int why_restricted(const struct names *allowed, char *why)
{
    snprintf(
        why, CONGESTION_WHY_MAX,
        "needs CAP_NET_ADMIN, which zproxy does not have when it serves clients; expected one of "
        "net.ipv4.tcp_allowed_congestion_control: %.*s",
        NAMES_MAX, allowed->is_known ? allowed->text : "unknown");
    return -1;
}

int congestion_check(const char *name, bool privileged, bool load, char why[CONGESTION_WHY_MAX])
{
    struct names available;
    struct names allowed;
    read_names(&available, AVAILABLE);
    read_names(&allowed, ALLOWED);
    bool is_here = available.is_known && has_name(&available, name);
    bool module = !is_here && has_module(name);
    if (available.is_known && !is_here && !(privileged && module))
        return why_missing(&available, name, module, why);
    if (is_here && !privileged && allowed.is_known && !has_name(&allowed, name))
        return why_restricted(&allowed, why);
    if (!load && available.is_known)
        return 0;
    int rc = try_name(name);
    if (rc == -ENOENT)
        return why_missing(&available, name, module, why);
    return rc == -EPERM ? why_restricted(&allowed, why) : 0;
}
