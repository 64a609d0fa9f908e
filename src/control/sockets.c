#include "control/sockets.h"

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
#include "control/sockets_inside.h"
#include "relay/sock.h"

void sockets_init(struct sockets *s)
{
    TAILQ_INIT(&s->all);
    for (size_t i = 0; i < SOCKETS_CHAINS; i++)
        SLIST_INIT(&s->chain[i]);
    s->inherited = (struct inherited){ .socket = NULL };
}

static void list_free(struct listen_socket_list *list)
{
    struct listen_socket *ls;
    while ((ls = TAILQ_FIRST(list)) != NULL) {
        TAILQ_REMOVE(list, ls, in_list);
        listen_socket_free(ls);
    }
}

void sockets_fini(struct sockets *s)
{
    list_free(&s->all);
    inherited_fini(&s->inherited);
}

static struct listen_socket *socket_new(const struct addr *at,
                                        const struct inherited_socket *handed)
{
    struct listen_socket *ls = calloc(1, sizeof *ls);
    if (ls != NULL) {
        ls->at = *at;
        ls->handed = handed;
    }
    return ls;
}

/* What was handed over is known by its number, whatever its address. */
static size_t chain_of(const struct addr *at, const struct inherited_socket *handed)
{
    return (handed != NULL ? (size_t)handed->number : addr_hash(at)) % SOCKETS_CHAINS;
}

static struct listen_socket *find(const struct sockets *s, const struct addr *at,
                                  const struct inherited_socket *handed)
{
    struct listen_socket *ls;
    SLIST_FOREACH(ls, &s->chain[chain_of(at, handed)], in_chain)
        if (ls->handed == handed && (handed != NULL || addr_equal(&ls->at, at)))
            return ls;
    return NULL;
}

static void enlist(struct sockets *s, struct listen_socket *ls)
{
    TAILQ_INSERT_TAIL(&s->all, ls, in_list);
    SLIST_INSERT_HEAD(&s->chain[chain_of(&ls->at, ls->handed)], ls, in_chain);
}

static void delist(struct sockets *s, struct listen_socket *ls)
{
    TAILQ_REMOVE(&s->all, ls, in_list);
    SLIST_REMOVE(&s->chain[chain_of(&ls->at, ls->handed)], ls, listen_socket, in_chain);
}

int sockets_adopt(struct sockets *s, const struct addr *at, const struct file_id *file,
                  const int *fd, size_t count)
{
    struct listen_socket *known = find(s, at, NULL);
    struct listen_socket *ls = known != NULL ? known : socket_new(at, NULL);
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
        enlist(s, ls);
    return 0;
}

/* ---- planned ---- */

/* Whether the file of a unix socket was removed by others: then no client finds it any more. */
static bool is_lost(const struct listen_socket *ls)
{
    int rc = ls->handed != NULL ? 0 : unix_socket_check(&ls->at, &ls->file);
    if (rc == -ESTALE)
        sockets_warn(&ls->at, "another program's file is there; its clients go there");
    return rc == -ENOENT;
}

static int want(struct sockets_change *ch, size_t listen, const struct config_bind *b,
                const struct addr *at, const struct inherited_socket *handed, FILE *errors)
{
    struct wanted *w = &ch->wanted[ch->count];
    w->listen = listen;
    w->bind = b;
    w->socket = find(ch->sockets, at, handed);
    if (w->socket != NULL && is_lost(w->socket)) {
        w->lost = w->socket;
        w->socket = NULL;
    }
    w->is_new = w->socket == NULL;
    if (w->is_new)
        w->socket = socket_new(at, handed);
    if (w->socket == NULL)
        return sockets_tell(errors, ch, listen, at, -ENOMEM);
    w->had = w->socket->count;
    ch->count++;
    return 0;
}

/* All ports of a range. */
static int want_each(struct sockets_change *ch, size_t listen, const struct config_bind *b,
                     FILE *errors)
{
    int rc = 0;
    for (size_t i = 0; i < b->addr_count; i++)
        rc |= want(ch, listen, b, &b->addr[i], NULL, errors);
    return rc;
}

/* ---- sockets that were handed over ---- */

/* By its name and by its number, the same socket may be meant twice. */
static int tell_taken(const struct sockets_change *ch, size_t listen, const char *name,
                      const struct inherited_socket *handed, FILE *errors)
{
    const struct config *conf = ch->conf;
    for (size_t i = 0; i < ch->count; i++) {
        if (ch->wanted[i].socket->handed != handed)
            continue;
        fprintf(errors, "[listen %s] bind: fd:%s: fd:%d is taken already by [listen %s]\n",
                conf->listen[listen].name, name, handed->number,
                conf->listen[ch->wanted[i].listen].name);
        return -1;
    }
    return 0;
}

static int want_one_handed(struct sockets_change *ch, size_t listen, const struct config_bind *b,
                           const struct inherited_socket *handed, FILE *errors)
{
    struct addr at;
    int rc = inherited_address(handed, &at);
    if (rc < 0) {
        fprintf(errors, "[listen %s] bind: fd:%s: fd:%d: %s\n", ch->conf->listen[listen].name,
                b->fd, handed->number, inherited_error(rc));
        return -1;
    }
    if (tell_taken(ch, listen, b->fd, handed, errors) < 0)
        return -1;
    return want(ch, listen, b, &at, handed, errors);
}

/* All that have the name. */
static int want_handed(struct sockets_change *ch, size_t listen, const struct config_bind *b,
                       FILE *errors)
{
    const struct inherited *in = &ch->sockets->inherited;
    size_t found = 0;
    for (size_t i = 0; i < in->count; i++) {
        if (!inherited_is(in->socket[i], b->fd))
            continue;
        if (want_one_handed(ch, listen, b, in->socket[i], errors) < 0)
            return -1;
        found++;
    }
    if (found > 0)
        return 0;
    fprintf(errors, "[listen %s] bind: fd:%s: no such socket of systemd's, ",
            ch->conf->listen[listen].name, b->fd);
    inherited_list(in, errors);
    fputc('\n', errors);
    return -1;
}

static int want_all(struct sockets_change *ch, FILE *errors)
{
    int rc = 0;
    for (size_t i = 0; i < ch->conf->listen_count; i++) {
        const struct config_listen *c = &ch->conf->listen[i];
        for (size_t j = 0; j < c->bind_count; j++)
            rc |= c->bind[j].fd != NULL ? want_handed(ch, i, &c->bind[j], errors)
                                        : want_each(ch, i, &c->bind[j], errors);
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

static size_t count_descriptors(const struct sockets_change *ch)
{
    const struct listen_socket *ls;
    size_t count = 0;
    TAILQ_FOREACH(ls, &ch->sockets->all, in_list)
        count += ls->count;
    for (size_t i = 0; i < ch->count; i++)
        if (ch->wanted[i].is_new)
            count += ch->wanted[i].socket->count;
    return count;
}

static size_t last_owner(const struct sockets *s)
{
    const struct listen_socket *ls;
    size_t last = 0;
    TAILQ_FOREACH(ls, &s->all, in_list)
        for (size_t i = 0; i < ls->count; i++)
            if (ls->share[i].owner != ORDERS_NOBODY && ls->share[i].owner >= last)
                last = ls->share[i].owner + 1;
    return last;
}

static size_t count_moves(const struct sockets_change *ch, const struct listen_socket *ls)
{
    size_t count = 0;
    for (size_t i = 0; i < ls->count; i++)
        count += ls->share[i].owner != i % ch->workers;
    return count;
}

/* Those that another worker is to have than now. */
static size_t count_given(const struct sockets_change *ch)
{
    const struct listen_socket *ls;
    size_t count = 0;
    TAILQ_FOREACH(ls, &ch->sockets->all, in_list)
        count += count_moves(ch, ls);
    for (size_t i = 0; i < ch->count; i++)
        if (ch->wanted[i].is_new)
            count += count_moves(ch, ch->wanted[i].socket);
    return count;
}

static int make_orders(struct sockets_change *ch)
{
    size_t before = last_owner(ch->sockets);
    ch->orders = orders_new(before > ch->workers ? before : ch->workers, count_descriptors(ch),
                            count_given(ch));
    return ch->orders == NULL ? -ENOMEM : 0;
}

static void no_memory(FILE *errors)
{
    fprintf(errors, "listening sockets: out of memory\n");
}

int sockets_plan(struct sockets *s, const struct config *conf, size_t workers, FILE *errors,
                 struct sockets_change **change)
{
    struct sockets_change *ch = calloc(1, sizeof *ch);
    int rc = -ENOMEM;
    if (ch != NULL) {
        ch->sockets = s;
        ch->conf = conf;
        ch->workers = workers;
        ch->wanted = calloc(count_binds(conf) + s->inherited.count + 1, sizeof *ch->wanted);
        rc = ch->wanted == NULL ? -ENOMEM : want_all(ch, errors);
    }
    if (rc == -ENOMEM)
        no_memory(errors);
    if (rc < 0)
        sockets_abandon(ch);
    else
        *change = ch;
    return rc < 0 ? -1 : 0;
}

int sockets_open(struct sockets_change *ch, FILE *errors)
{
    int rc = sockets_probe_all(ch, errors);
    if (rc == 0)
        rc = sockets_open_all(ch, errors);
    if (rc == 0 && (rc = make_orders(ch)) < 0)
        no_memory(errors);
    return rc < 0 ? -1 : 0;
}

static void change_free(struct sockets_change *ch)
{
    orders_free(ch->orders);
    free(ch->wanted);
    free(ch);
}

/* What was opened is closed; an unix socket file that was made is removed. */
void sockets_abandon(struct sockets_change *ch)
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
    change_free(ch);
}

/* ---- committed ---- */

/* Descriptor i is the business of worker i, or, with fewer workers, of one that has others too. */
static void spread(struct sockets_change *ch, struct listen_socket *ls, struct service *service)
{
    for (size_t i = 0; i < ls->count; i++) {
        struct socket_share *share = &ls->share[i];
        size_t owner = i % ch->workers;
        if (share->owner == owner) {
            orders_serve(ch->orders, share, service);
            continue;
        }
        orders_release(ch->orders, share);
        orders_listen(ch->orders, owner, share, service);
    }
}

static void close_all(struct sockets_change *ch, struct listen_socket *ls)
{
    listen_socket_remove_file(ls);
    for (size_t i = 0; i < ls->count; i++)
        orders_close(ch->orders, &ls->share[i]);
    delist(ch->sockets, ls);
    listen_socket_free(ls);
}

static void mark_wanted(const struct sockets_change *ch)
{
    struct listen_socket *ls;
    TAILQ_FOREACH(ls, &ch->sockets->all, in_list)
        ls->wanted = false;
    for (size_t i = 0; i < ch->count; i++)
        ch->wanted[i].socket->wanted = true;
}

/* What takes the clients of one that is not wanted any more, since that is a part of it; or NULL.
 */
static const struct wanted *find_cover(const struct sockets_change *ch,
                                       const struct listen_socket *ls)
{
    for (size_t i = 0; i < ch->count && ls->handed == NULL && !addr_is_unix(&ls->at); i++)
        if (addr_covers(&ch->wanted[i].socket->at, &ls->at))
            return &ch->wanted[i];
    return NULL;
}

/* What had been there before gets the options that can still be changed. */
static void serve(struct sockets_change *ch, struct listen_socket *ls, size_t had,
                  struct service *service)
{
    for (size_t i = 0; i < had; i++)
        sock_relisten(ls->share[i].fd, &ls->at, &service->options);
    spread(ch, ls, service);
}

/* A part of one that is wanted stays: whoever is in its backlog, or on the way there, is welcome.
 */
static void part_with(struct sockets_change *ch, struct listen_socket *ls,
                      const struct generation *g)
{
    const struct wanted *cover = find_cover(ch, ls);
    if (cover != NULL)
        serve(ch, ls, ls->count, &g->service[cover->listen]);
    else
        close_all(ch, ls);
}

static void part_with_unwanted(struct sockets_change *ch, const struct generation *g)
{
    struct listen_socket *ls = TAILQ_FIRST(&ch->sockets->all);
    mark_wanted(ch);
    while (ls != NULL) {
        struct listen_socket *next = TAILQ_NEXT(ls, in_list);
        if (!ls->wanted)
            part_with(ch, ls, g);
        ls = next;
    }
}

void sockets_commit(struct sockets_change *ch, const struct generation *g, struct crew *crew)
{
    part_with_unwanted(ch, g);
    for (size_t i = 0; i < ch->count; i++) {
        struct wanted *w = &ch->wanted[i];
        if (w->is_new)
            enlist(ch->sockets, w->socket);
        serve(ch, w->socket, w->socket->handed != NULL ? w->socket->count : w->had,
              &g->service[w->listen]);
    }
    orders_give(ch->orders, crew);
    change_free(ch);
}

void sockets_unlink(const struct sockets *s)
{
    const struct listen_socket *ls;
    TAILQ_FOREACH(ls, &s->all, in_list)
        listen_socket_remove_file(ls);
}

void sockets_say_unused(const struct sockets *s)
{
    const struct addr nowhere = { .len = 0 };
    for (size_t i = 0; i < s->inherited.count; i++) {
        const struct inherited_socket *in = s->inherited.socket[i];
        if (find(s, &nowhere, in) == NULL)
            log_msg(LOG_LEVEL_NOTICE, "unused_socket",
                    "fd:%s (fd:%d) was handed over, and no listener uses it", in->name, in->number);
    }
}
