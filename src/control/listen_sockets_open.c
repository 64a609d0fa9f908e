#include "control/listen_sockets.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "control/listen_sockets_internal.h"
#include "relay/sock.h"

/* ---- one socket ---- */

void listen_socket_free(struct listen_socket *ls)
{
    for (size_t i = 0; i < ls->count; i++)
        if (ls->share[i].owner == SOCKET_SHARE_NO_OWNER && ls->share[i].fd != -1)
            close(ls->share[i].fd);
    free(ls->share);
    free(ls);
}

int listen_socket_reserve(struct listen_socket *ls, size_t count)
{
    struct socket_share *share = realloc(ls->share, (count + 1) * sizeof *share);
    if (share == NULL)
        return -ENOMEM;
    ls->share = share;
    return 0;
}

void listen_socket_add(struct listen_socket *ls, int fd)
{
    ls->share[ls->count++] = (struct socket_share){ .fd = fd, .owner = SOCKET_SHARE_NO_OWNER };
}

void listen_socket_remove_file(const struct listen_socket *ls)
{
    if (ls->inherited == NULL)
        unix_socket_unlink(&ls->at, &ls->file);
}

/* ---- messages ---- */

int listen_sockets_print_error(FILE *errors, const struct listen_sockets_change *ch, size_t listen,
                               const struct addr *at, int rc)
{
    char text[ADDR_TEXT_MAX];
    const char *why =
        rc == -ENOENT   ? "no such directory, or no such user or group"
        : rc == -ENODEV ? "no such interface"
        : rc == -EADDRNOTAVAIL
            ? "not an address of this machine; with the option freebind it need not be one"
            : sock_bind_strerror(rc);
    fprintf(errors, "[listen %s] bind: %s: %s\n", ch->conf->listen[listen].name,
            addr_print(at, text), why);
    return -1;
}

void listen_sockets_warn(const struct addr *at, const char *fmt, ...)
{
    char text[ADDR_TEXT_MAX];
    char msg[256];
    va_list args;
    va_start(args, fmt);
    vsnprintf(msg, sizeof msg, fmt, args);
    va_end(args);
    log_msg(LOG_LEVEL_WARNING, "socket_file", "%s: %s", addr_print(at, text), msg);
}

/* ---- opened ---- */

/* Whether a socket of this process has the address or one that overlaps it: then no other program
 * has it. */
static bool listen_sockets_overlap(const struct listen_sockets *s, const struct addr *at)
{
    const struct listen_socket *ls;
    TAILQ_FOREACH(ls, &s->all, in_list)
        if (addr_overlap(&ls->at, at))
            return true;
    return false;
}

/* Comes before any is opened: addresses of one configuration may overlap too. Of a range, only the
 * first error is printed. */
int listen_sockets_probe_all(const struct listen_sockets_change *ch, FILE *errors)
{
    const struct config_bind *failed = NULL;
    int rc = 0;
    for (size_t i = 0; i < ch->count; i++) {
        const struct wanted *w = &ch->wanted[i];
        const struct addr *at = &w->socket->at;
        if (w->bind == failed || w->socket->inherited != NULL || !w->is_new ||
            listen_sockets_overlap(ch->listen_sockets, at))
            continue;
        const struct sock_options options = { .freebind = w->bind->freebind,
                                              .device = w->bind->device };
        int found = sock_probe(at, &options);
        if (found == 0)
            continue;
        rc = listen_sockets_print_error(errors, ch, w->listen, at, found);
        failed = w->bind;
    }
    return rc;
}

/* A duplicate is used if no further socket can be bound: a unix socket can be bound only once, an
 * inherited one is bound by the service manager, and others may need privileges that have been
 * dropped. */
static int listen_socket_open_fd(struct listen_socket *ls, const struct sock_options *options)
{
    int one = ls->inherited != NULL ? ls->inherited->fd : ls->count > 0 ? ls->share[0].fd : -1;
    int fd = -1;
    if (ls->inherited == NULL && (one == -1 || !addr_is_unix(&ls->at)))
        fd = sock_bind(&ls->at, options, &ls->file);
    if (fd >= 0 || one == -1)
        return fd;
    fd = fcntl(one, F_DUPFD_CLOEXEC, 0);
    return fd == -1 ? -errno : fd;
}

/* ---- the owner of a unix socket's file ---- */

static int read_id(const char *text, long *id)
{
    char *end = NULL;
    *id = strtol(text, &end, 10);
    return end != text && *end == '\0' && *id >= 0 ? 0 : -ENOENT;
}

static int find_user(const char *name, long *uid)
{
    const struct passwd *pw = getpwnam(name);
    if (pw == NULL)
        return read_id(name, uid);
    *uid = (long)pw->pw_uid;
    return 0;
}

static int find_group(const char *name, long *gid)
{
    const struct group *gr = getgrnam(name);
    if (gr == NULL)
        return read_id(name, gid);
    *gid = (long)gr->gr_gid;
    return 0;
}

/* Names or numbers; NULL leaves the owner or group as it is created. Returns 0 or -ENOENT: no such
 * user or group. */
static int find_owner(const struct config_bind *b, struct unix_owner *owner)
{
    long uid = -1;
    long gid = -1;
    int rc = b->user == NULL ? 0 : find_user(b->user, &uid);
    if (rc == 0 && b->group != NULL)
        rc = find_group(b->group, &gid);
    *owner = (struct unix_owner){ .uid = (uid_t)uid, .gid = (gid_t)gid };
    return rc;
}

/* ---- opened ---- */

static int open_wanted(const struct listen_sockets_change *ch, const struct wanted *w)
{
    struct listen_socket *ls = w->socket;
    struct sock_options options = frontend_sock_options(&ch->conf->listen[w->listen]);
    struct unix_owner owner;
    int rc = find_owner(w->bind, &owner);
    options.mode = w->bind->mode;
    options.owner = &owner;
    options.freebind = w->bind->freebind;
    options.device = w->bind->device;
    if (rc == 0)
        rc = listen_socket_reserve(ls, ch->workers > ls->count ? ch->workers : ls->count);
    while (rc == 0 && ls->count < ch->workers) {
        int fd = listen_socket_open_fd(ls, &options);
        if (fd < 0)
            rc = fd;
        else
            listen_socket_add(ls, fd);
    }
    return rc;
}

/* If the file cannot be made again, for example for lack of privileges, the old socket stays. */
static int reopen_wanted(struct wanted *w, const struct listen_sockets_change *ch)
{
    int rc = open_wanted(ch, w);
    if (rc == 0) {
        listen_sockets_warn(&w->socket->at, "its file was removed; made again");
        return 0;
    }
    listen_sockets_warn(&w->socket->at, "its file was removed and cannot be made again: %s",
                        safe_open_strerror(rc));
    listen_socket_remove_file(w->socket);
    listen_socket_free(w->socket);
    w->socket = w->replaced;
    w->replaced = NULL;
    w->is_new = false;
    w->had = w->socket->count;
    return open_wanted(ch, w);
}

int listen_sockets_open_all(const struct listen_sockets_change *ch, FILE *errors)
{
    const struct config_bind *failed = NULL;
    int rc = 0;
    for (size_t i = 0; i < ch->count; i++) {
        struct wanted *w = &ch->wanted[i];
        int opened = 0;
        if (w->bind != failed)
            opened = w->replaced != NULL ? reopen_wanted(w, ch) : open_wanted(ch, w);
        if (opened == 0)
            continue;
        rc = listen_sockets_print_error(errors, ch, w->listen, &w->socket->at, opened);
        failed = w->bind;
    }
    return rc;
}

static int backlog_of(const struct listen_sockets_change *ch, const struct wanted *w)
{
    return frontend_sock_options(&ch->conf->listen[w->listen]).backlog;
}

/* Listens on the further descriptors of an address. The kernel sends clients to each one at once,
 * and closing it again would reset them, so this must not fail: a duplicate of the first one
 * replaces a socket that cannot listen. */
static void listen_on_rest(const struct listen_sockets_change *ch, const struct wanted *w)
{
    const struct listen_socket *ls = w->socket;
    int backlog = backlog_of(ch, w);
    for (size_t j = w->had == 0 ? 1 : w->had; j < ls->count; j++)
        if (listen(ls->share[j].fd, backlog) == -1)
            (void)dup3(ls->share[0].fd, ls->share[j].fd, O_CLOEXEC);
}

/* Listens first on one socket of each new address, since only that can fail. So after a failure no
 * address in force has a new listening socket, whose closing would reset clients. */
int listen_sockets_listen(struct listen_sockets_change *ch, FILE *errors)
{
    int rc = 0;
    for (size_t i = 0; i < ch->count && rc == 0; i++) {
        const struct wanted *w = &ch->wanted[i];
        if (w->had == 0 && w->socket->inherited == NULL &&
            listen(w->socket->share[0].fd, backlog_of(ch, w)) == -1)
            rc = listen_sockets_print_error(errors, ch, w->listen, &w->socket->at, -errno);
    }
    for (size_t i = 0; i < ch->count && rc == 0; i++)
        if (ch->wanted[i].socket->inherited == NULL)
            listen_on_rest(ch, &ch->wanted[i]);
    return rc;
}
