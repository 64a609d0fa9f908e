#include "control/inherited.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define FIRST_FD 3 /* SD_LISTEN_FDS_START */

/* A decimal number in the environment; -1: none. */
static long number_in(const char *variable)
{
    const char *text = getenv(variable);
    char *end = NULL;
    if (text == NULL || *text < '0' || *text > '9')
        return -1;
    errno = 0;
    long n = strtol(text, &end, 10);
    return *end == '\0' && errno == 0 ? n : -1;
}

int inherited_adopt(struct inherited *in, const char *name, int number, int fd)
{
    struct inherited_socket *s = calloc(1, sizeof *s);
    struct inherited_socket **all =
        realloc(in->socket, (in->count + 1) * sizeof(struct inherited_socket *));
    if (all != NULL)
        in->socket = all;
    if (s == NULL || all == NULL) {
        free(s);
        close(fd);
        return -ENOMEM;
    }
    snprintf(s->name, sizeof s->name, "%s", name);
    s->number = number;
    s->fd = fd;
    in->socket[in->count++] = s;
    return 0;
}

/* Workers share the socket: accept(2) must not block when another worker has taken the client. */
static void set_fd_flags(int fd)
{
    int flags = fcntl(fd, F_GETFL);
    (void)fcntl(fd, F_SETFD, FD_CLOEXEC);
    if (flags != -1)
        (void)fcntl(fd, F_SETFL, flags | O_NONBLOCK);
}

/* Names are separated by colons; an older service manager passes fewer names than descriptors. */
static int inherited_take_all(struct inherited *in, long count, const char *names)
{
    int rc = 0;
    for (int fd = FIRST_FD; fd < FIRST_FD + count && rc == 0; fd++) {
        char name[INHERITED_NAME] = "unknown";
        size_t len = names == NULL ? 0 : strcspn(names, ":");
        if (names != NULL) {
            snprintf(name, sizeof name, "%.*s", (int)len, names);
            names = names[len] == ':' ? names + len + 1 : NULL;
        }
        if (fcntl(fd, F_GETFD) == -1)
            continue; /* a program between the service manager and this one has closed it */
        set_fd_flags(fd);
        rc = inherited_adopt(in, name, fd, fd);
    }
    return rc;
}

int inherited_init(struct inherited *in)
{
    long count = number_in("LISTEN_FDS");
    int rc = 0;
    in->socket = NULL;
    in->count = 0;
    if (number_in("LISTEN_PID") == getpid() && count > 0 && count <= INT_MAX - FIRST_FD)
        rc = inherited_take_all(in, count, getenv("LISTEN_FDNAMES"));
    unsetenv("LISTEN_PID");
    unsetenv("LISTEN_FDS");
    unsetenv("LISTEN_FDNAMES");
    return rc;
}

void inherited_fini(struct inherited *in)
{
    for (size_t i = 0; i < in->count; i++) {
        close(in->socket[i]->fd);
        free(in->socket[i]);
    }
    free(in->socket);
    in->socket = NULL;
    in->count = 0;
}

bool inherited_matches(const struct inherited_socket *s, const char *name)
{
    if (name[strspn(name, "0123456789")] != '\0')
        return strcmp(s->name, name) == 0;
    return s->number == atoi(name);
}

void inherited_print(const struct inherited *in, FILE *out)
{
    if (in->count == 0)
        fprintf(out, "none was passed");
    for (size_t i = 0; i < in->count; i++)
        fprintf(out, "%sfd:%s (fd:%d)", i == 0 ? "it passed " : ", ", in->socket[i]->name,
                in->socket[i]->number);
}

static int option(int fd, int name)
{
    int value = 0;
    socklen_t len = sizeof value;
    return getsockopt(fd, SOL_SOCKET, name, &value, &len) == -1 ? -errno : value;
}

int inherited_address(const struct inherited_socket *s, struct addr *at)
{
    int type = option(s->fd, SO_TYPE);
    if (type < 0)
        return type;
    *at = (struct addr){ .len = sizeof at->un };
    if (type != SOCK_STREAM || getsockname(s->fd, &at->sa, &at->len) == -1)
        return -EPROTONOSUPPORT;
    switch (at->sa.sa_family) {
    case AF_INET:
    case AF_INET6:
    case AF_UNIX:
        return option(s->fd, SO_ACCEPTCONN) == 1 ? 0 : -EDESTADDRREQ;
    default:
        return -EPROTONOSUPPORT;
    }
}

static bool inherited_has(const struct inherited *in, const char *name)
{
    for (size_t i = 0; i < in->count; i++)
        if (inherited_matches(in->socket[i], name))
            return true;
    return false;
}

void inherited_print_missing(const struct inherited *in, const struct config *conf, FILE *out,
                             const char *prefix)
{
    for (size_t i = 0; i < conf->listen_count; i++) {
        const struct config_listen *c = &conf->listen[i];
        for (size_t j = 0; j < c->bind_count; j++)
            if (c->bind[j].fd != NULL && !inherited_has(in, c->bind[j].fd))
                fprintf(out, "%s[listen %s] bind: fd:%s must be passed by systemd\n", prefix,
                        c->name, c->bind[j].fd);
    }
}

const char *inherited_error(int rc)
{
    switch (-rc) {
    case ENOTSOCK:
        return "not a socket, expected ListenStream= in the socket unit";
    case EPROTONOSUPPORT:
        return "not a TCP or unix stream socket, expected ListenStream= in the socket unit";
    case EDESTADDRREQ:
        return "it does not listen, expected Accept=no in the socket unit";
    default:
        return strerror(-rc);
    }
}
