#include "control/listen_sockets.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "base/text.h"
#include "control/listen_sockets_internal.h"
#include "relay/sock.h"

void listen_sockets_init(struct listen_sockets *s)
{
    TAILQ_INIT(&s->all);
    for (size_t i = 0; i < LISTEN_SOCKETS_CHAINS; i++)
        SLIST_INIT(&s->chain[i]);
    s->inherited = (struct inherited){ .socket = NULL };
}

static void listen_sockets_free_all(struct listen_socket_list *list)
{
    struct listen_socket *ls;
    while ((ls = TAILQ_FIRST(list)) != NULL) {
        TAILQ_REMOVE(list, ls, in_list);
        listen_socket_free(ls);
    }
}

void listen_sockets_fini(struct listen_sockets *s)
{
    listen_sockets_free_all(&s->all);
    inherited_fini(&s->inherited);
}

/* device: "" for none, as in all functions here. */
static struct listen_socket *listen_socket_new(const struct addr *at, const char *device,
                                               const struct inherited_socket *inherited)
{
    struct listen_socket *ls = calloc(1, sizeof *ls);
    if (ls != NULL) {
        ls->at = *at;
        text_copy(ls->device, sizeof ls->device, device);
        ls->inherited = inherited;
    }
    return ls;
}

/* An inherited socket is found by its number, whatever its address. */
static size_t listen_sockets_chain(const struct addr *at, const struct inherited_socket *inherited)
{
    return (inherited != NULL ? (size_t)inherited->number : addr_hash(at)) % LISTEN_SOCKETS_CHAINS;
}

static struct listen_socket *listen_sockets_find(const struct listen_sockets *s,
                                                 const struct addr *at, const char *device,
                                                 const struct inherited_socket *inherited)
{
    struct listen_socket *ls;
    SLIST_FOREACH(ls, &s->chain[listen_sockets_chain(at, inherited)], in_chain)
        if (ls->inherited == inherited &&
            (inherited != NULL || (addr_equal(&ls->at, at) && strcmp(ls->device, device) == 0)))
            return ls;
    return NULL;
}

static void listen_sockets_insert(struct listen_sockets *s, struct listen_socket *ls)
{
    TAILQ_INSERT_TAIL(&s->all, ls, in_list);
    SLIST_INSERT_HEAD(&s->chain[listen_sockets_chain(&ls->at, ls->inherited)], ls, in_chain);
}

static void listen_sockets_remove(struct listen_sockets *s, struct listen_socket *ls)
{
    TAILQ_REMOVE(&s->all, ls, in_list);
    SLIST_REMOVE(&s->chain[listen_sockets_chain(&ls->at, ls->inherited)], ls, listen_socket,
                 in_chain);
}

int listen_sockets_adopt(struct listen_sockets *s, const struct addr *at,
                         const struct file_id *file, const int *fd, size_t count)
{
    char device[IFNAMSIZ];
    sock_device(fd[0], device);
    struct listen_socket *known = listen_sockets_find(s, at, device, NULL);
    struct listen_socket *ls = known != NULL ? known : listen_socket_new(at, device, NULL);
    if (ls == NULL || listen_socket_reserve(ls, ls->count + count) < 0) {
        for (size_t i = 0; i < count; i++)
            close(fd[i]);
        if (known == NULL)
            free(ls);
        return -ENOMEM;
    }
    for (size_t i = 0; i < count; i++)
        listen_socket_add(ls, fd[i]);
    ls->file = *file;
    if (known == NULL)
        listen_sockets_insert(s, ls);
    return 0;
}

/* ---- plan ---- */

/* Whether the file of a unix socket was removed by others: clients cannot connect any more. */
static bool listen_socket_file_is_gone(const struct listen_socket *ls)
{
    int rc = ls->inherited != NULL ? 0 : unix_socket_check(&ls->at, &ls->file);
    if (rc == -ESTALE)
        listen_sockets_warn(&ls->at, "another program's file is there; its clients go there");
    return rc == -ENOENT;
}

static int plan_address(struct listen_sockets_change *ch, size_t listen,
                        const struct config_bind *b, const struct addr *at,
                        const struct inherited_socket *inherited, FILE *errors)
{
    struct wanted *w = &ch->wanted[ch->count];
    const char *device = b->device == NULL ? "" : b->device;
    w->listen = listen;
    w->bind = b;
    w->socket = listen_sockets_find(ch->listen_sockets, at, device, inherited);
    if (w->socket != NULL && listen_socket_file_is_gone(w->socket)) {
        w->replaced = w->socket;
        w->socket = NULL;
    }
    w->is_new = w->socket == NULL;
    if (w->is_new)
        w->socket = listen_socket_new(at, device, inherited);
    if (w->socket == NULL)
        return listen_sockets_print_error(errors, ch, listen, at, -ENOMEM);
    w->had = w->socket->count;
    ch->count++;
    return 0;
}

/* All ports of a range. */
static int plan_range(struct listen_sockets_change *ch, size_t listen, const struct config_bind *b,
                      FILE *errors)
{
    int rc = 0;
    for (size_t i = 0; i < b->addr_count; i++)
        rc |= plan_address(ch, listen, b, &b->addr[i], NULL, errors);
    return rc;
}

/* ---- inherited sockets ---- */

/* The same socket may be named twice, by its name and by its number. */
static int check_not_taken(const struct listen_sockets_change *ch, size_t listen, const char *name,
                           const struct inherited_socket *inherited, FILE *errors)
{
    const struct config *conf = ch->conf;
    for (size_t i = 0; i < ch->count; i++) {
        if (ch->wanted[i].socket->inherited != inherited)
            continue;
        fprintf(errors, "[listen %s] bind: fd:%s: fd:%d is taken already by [listen %s]\n",
                conf->listen[listen].name, name, inherited->number,
                conf->listen[ch->wanted[i].listen].name);
        return -1;
    }
    return 0;
}

static int plan_one_inherited(struct listen_sockets_change *ch, size_t listen,
                              const struct config_bind *b, const struct inherited_socket *inherited,
                              FILE *errors)
{
    struct addr at;
    int rc = inherited_address(inherited, &at);
    if (rc < 0) {
        fprintf(errors, "[listen %s] bind: fd:%s: fd:%d: %s\n", ch->conf->listen[listen].name,
                b->fd, inherited->number, inherited_error(rc));
        return -1;
    }
    if (check_not_taken(ch, listen, b->fd, inherited, errors) < 0)
        return -1;
    return plan_address(ch, listen, b, &at, inherited, errors);
}

/* Plans all sockets with the name. */
static int plan_inherited(struct listen_sockets_change *ch, size_t listen,
                          const struct config_bind *b, FILE *errors)
{
    const struct inherited *in = &ch->listen_sockets->inherited;
    size_t found = 0;
    for (size_t i = 0; i < in->count; i++) {
        if (!inherited_matches(in->socket[i], b->fd))
            continue;
        if (plan_one_inherited(ch, listen, b, in->socket[i], errors) < 0)
            return -1;
        found++;
    }
    if (found > 0)
        return 0;
    fprintf(errors, "[listen %s] bind: fd:%s: no such socket from systemd, ",
            ch->conf->listen[listen].name, b->fd);
    inherited_print(in, errors);
    fputc('\n', errors);
    return -1;
}

static int plan_all(struct listen_sockets_change *ch, FILE *errors)
{
    int rc = 0;
    for (size_t i = 0; i < ch->conf->listen_count; i++) {
        const struct config_listen *c = &ch->conf->listen[i];
        for (size_t j = 0; j < c->bind_count; j++)
            rc |= c->bind[j].fd != NULL ? plan_inherited(ch, i, &c->bind[j], errors)
                                        : plan_range(ch, i, &c->bind[j], errors);
    }
    return rc;
}

static size_t count_binds(const struct config *conf)
{
    size_t count = 0;
    for (size_t i = 0; i < conf->listen_count; i++)
        for (size_t j = 0; j < conf->listen[i].bind_count; j++)
            count += conf->listen[i].bind[j].addr_count;
    return count;
}

static size_t listen_sockets_count_fds(const struct listen_sockets_change *ch)
{
    const struct listen_socket *ls;
    size_t count = 0;
    TAILQ_FOREACH(ls, &ch->listen_sockets->all, in_list)
        count += ls->count;
    for (size_t i = 0; i < ch->count; i++)
        if (ch->wanted[i].is_new)
            count += ch->wanted[i].socket->count;
    return count;
}

static size_t owner_count(const struct listen_sockets *s)
{
    const struct listen_socket *ls;
    size_t last = 0;
    TAILQ_FOREACH(ls, &s->all, in_list)
        for (size_t i = 0; i < ls->count; i++)
            if (ls->share[i].owner != SOCKET_SHARE_NO_OWNER && ls->share[i].owner >= last)
                last = ls->share[i].owner + 1;
    return last;
}

static size_t count_moves(const struct listen_sockets_change *ch, const struct listen_socket *ls)
{
    size_t count = 0;
    for (size_t i = 0; i < ls->count; i++)
        count += ls->share[i].owner != i % ch->workers;
    return count;
}

/* Descriptors that move to another worker. */
static size_t count_moved(const struct listen_sockets_change *ch)
{
    const struct listen_socket *ls;
    size_t count = 0;
    TAILQ_FOREACH(ls, &ch->listen_sockets->all, in_list)
        count += count_moves(ch, ls);
    for (size_t i = 0; i < ch->count; i++)
        if (ch->wanted[i].is_new)
            count += count_moves(ch, ch->wanted[i].socket);
    return count;
}

static int listen_sockets_make_tasks(struct listen_sockets_change *ch)
{
    size_t before = owner_count(ch->listen_sockets);
    ch->listener_tasks = listener_tasks_new(before > ch->workers ? before : ch->workers,
                                            listen_sockets_count_fds(ch), count_moved(ch));
    return ch->listener_tasks == NULL ? -ENOMEM : 0;
}

static void print_no_memory(FILE *errors)
{
    fprintf(errors, "listening sockets: out of memory\n");
}

int listen_sockets_plan(struct listen_sockets *s, const struct config *conf, size_t workers,
                        FILE *errors, struct listen_sockets_change **change)
{
    struct listen_sockets_change *ch = calloc(1, sizeof *ch);
    int rc = -ENOMEM;
    if (ch != NULL) {
        ch->listen_sockets = s;
        ch->conf = conf;
        ch->workers = workers;
        ch->wanted = calloc(count_binds(conf) + s->inherited.count + 1, sizeof *ch->wanted);
        rc = ch->wanted == NULL ? -ENOMEM : plan_all(ch, errors);
    }
    if (rc == -ENOMEM)
        print_no_memory(errors);
    if (rc < 0)
        listen_sockets_abort(ch);
    else
        *change = ch;
    return rc < 0 ? -1 : 0;
}

int listen_sockets_open(struct listen_sockets_change *ch, FILE *errors)
{
    int rc = listen_sockets_probe_all(ch, errors);
    if (rc == 0)
        rc = listen_sockets_open_all(ch, errors);
    if (rc == 0 && (rc = listen_sockets_make_tasks(ch)) < 0)
        print_no_memory(errors);
    return rc < 0 ? -1 : 0;
}

static void listen_sockets_change_free(struct listen_sockets_change *ch)
{
    listener_tasks_free(ch->listener_tasks);
    free(ch->wanted);
    free(ch);
}

/* Closes the descriptors that were opened, and removes unix socket files that were made. */
void listen_sockets_abort(struct listen_sockets_change *ch)
{
    if (ch == NULL)
        return;
    for (size_t i = 0; i < ch->count; i++) {
        struct listen_socket *ls = ch->wanted[i].socket;
        if (ch->wanted[i].is_new && ls->count > 0)
            listen_socket_remove_file(ls);
        while (!ch->wanted[i].is_new && ls->count > ch->wanted[i].had)
            close(ls->share[--ls->count].fd);
        if (ch->wanted[i].is_new)
            listen_socket_free(ls);
    }
    listen_sockets_change_free(ch);
}

/* ---- commit ---- */

/* Worker i has descriptor i; with fewer workers than descriptors a worker has several. */
static void assign_to_workers(struct listen_sockets_change *ch, struct listen_socket *ls,
                              struct frontend *frontend)
{
    for (size_t i = 0; i < ls->count; i++) {
        struct socket_share *share = &ls->share[i];
        size_t owner = i % ch->workers;
        if (share->owner == owner) {
            listener_tasks_set_frontend(ch->listener_tasks, share, frontend);
            continue;
        }
        listener_tasks_release(ch->listener_tasks, share);
        listener_tasks_listen(ch->listener_tasks, owner, share, frontend);
    }
}

static void listen_socket_close(struct listen_sockets_change *ch, struct listen_socket *ls)
{
    listen_socket_remove_file(ls);
    for (size_t i = 0; i < ls->count; i++)
        listener_tasks_close(ch->listener_tasks, &ls->share[i]);
    listen_sockets_remove(ch->listen_sockets, ls);
    listen_socket_free(ls);
}

static void mark_wanted(const struct listen_sockets_change *ch)
{
    struct listen_socket *ls;
    TAILQ_FOREACH(ls, &ch->listen_sockets->all, in_list)
        ls->wanted = false;
    for (size_t i = 0; i < ch->count; i++)
        ch->wanted[i].socket->wanted = true;
}

/* Whether all clients of one socket can come to the other one as well. */
static bool listen_socket_covers(const struct listen_socket *ls, const struct listen_socket *part)
{
    return addr_covers(&ls->at, &part->at) &&
           (ls->device[0] == '\0' || strcmp(ls->device, part->device) == 0);
}

/* The wanted address that an unwanted socket is a part of, such as 0.0.0.0:80 for 10.0.0.1:80; or
 * NULL. */
static const struct wanted *find_cover(const struct listen_sockets_change *ch,
                                       const struct listen_socket *ls)
{
    for (size_t i = 0; i < ch->count && ls->inherited == NULL && !addr_is_unix(&ls->at); i++)
        if (listen_socket_covers(ch->wanted[i].socket, ls))
            return &ch->wanted[i];
    return NULL;
}

/* On sockets that existed before, sets the options that can still be changed. */
static void set_frontend(struct listen_sockets_change *ch, struct listen_socket *ls, size_t had,
                         struct frontend *frontend)
{
    for (size_t i = 0; i < had; i++)
        sock_relisten(ls->share[i].fd, &ls->at, &frontend->options, &ch->defaults);
    assign_to_workers(ch, ls, frontend);
}

/* A socket that is a part of a wanted address stays: clients may be in its backlog or connecting.
 */
static void retire_socket(struct listen_sockets_change *ch, struct listen_socket *ls,
                          const struct generation *g)
{
    const struct wanted *cover = find_cover(ch, ls);
    if (cover != NULL)
        set_frontend(ch, ls, ls->count, &g->frontend[cover->listen]);
    else
        listen_socket_close(ch, ls);
}

static void retire_unwanted(struct listen_sockets_change *ch, const struct generation *g)
{
    struct listen_socket *ls = TAILQ_FIRST(&ch->listen_sockets->all);
    mark_wanted(ch);
    while (ls != NULL) {
        struct listen_socket *next = TAILQ_NEXT(ls, in_list);
        if (!ls->wanted)
            retire_socket(ch, ls, g);
        ls = next;
    }
}

void listen_sockets_commit(struct listen_sockets_change *ch, const struct generation *g,
                           struct workers *workers)
{
    sock_get_defaults(&ch->defaults);
    retire_unwanted(ch, g);
    for (size_t i = 0; i < ch->count; i++) {
        struct wanted *w = &ch->wanted[i];
        if (w->is_new)
            listen_sockets_insert(ch->listen_sockets, w->socket);
        set_frontend(ch, w->socket, w->socket->inherited != NULL ? w->socket->count : w->had,
                     &g->frontend[w->listen]);
    }
    listener_tasks_run(ch->listener_tasks, workers);
    listen_sockets_change_free(ch);
}

void listen_sockets_unlink(const struct listen_sockets *s)
{
    const struct listen_socket *ls;
    TAILQ_FOREACH(ls, &s->all, in_list)
        listen_socket_remove_file(ls);
}

void listen_sockets_log_unused(const struct listen_sockets *s)
{
    const struct addr nowhere = { .len = 0 };
    for (size_t i = 0; i < s->inherited.count; i++) {
        const struct inherited_socket *in = s->inherited.socket[i];
        if (listen_sockets_find(s, &nowhere, "", in) == NULL)
            log_msg(LOG_LEVEL_NOTICE, "unused_socket",
                    "fd:%s (fd:%d) was passed by systemd, and no listener uses it", in->name,
                    in->number);
    }
}
