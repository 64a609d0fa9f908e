#define CARES_NO_DEPRECATED /* this file uses the API of 1.18; later versions would warn */
#include "balance/dns_server.h"

#include <ares.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "base/deadline.h"

#define DNS_PORT   53
#define EDNS_SIZE  1232 /* bytes of an answer by UDP: not fragmented (DNS flag day 2020) */
#define TIMEOUT_MS 4500 /* for an answer; dns.c asks the next server earlier */
#define NO_RESOLV  "/dev/null"

/* A socket of c-ares, which opens and closes it, and sets the events to watch for. */
struct dns_socket {
    uv_poll_t poll;
    struct dns_server *server;
    ares_socket_t fd;
    LIST_ENTRY(dns_socket) by_server;
};

struct dns_try {
    struct dns_server *server;
    dns_try_done_fn *done; /* NULL: cancelled */
    void *arg;
    enum dns_type type;
    int status;
    LIST_ENTRY(dns_try) by_server; /* in asked: owned by c-ares; or in failed */
};

LIST_HEAD(dns_sockets, dns_socket);
LIST_HEAD(dns_tries, dns_try);

struct dns_server {
    ares_channel channel;
    uv_loop_t *loop;
    struct deadline timeout; /* of c-ares */
    uv_timer_t soon;         /* to report tries that could not be sent */
    struct dns_sockets sockets;
    struct dns_tries asked;
    struct dns_tries failed;
    size_t handles; /* open; closing the last one frees the server */
    bool asking;    /* ares_query() is on the stack */
    bool closing;
};

static void dns_server_on_soon(uv_timer_t *timer);
static void on_timeout(uv_timer_t *timer);

/* Sets the timer to the next timeout of c-ares. */
static void dns_server_rearm(struct dns_server *s)
{
    struct timeval left;
    if (s->closing)
        return;
    if (!LIST_EMPTY(&s->failed))
        uv_timer_start(&s->soon, dns_server_on_soon, 0, 0);
    const struct timeval *t = ares_timeout(s->channel, NULL, &left);
    if (t == NULL)
        deadline_stop(&s->timeout);
    else
        deadline_start(&s->timeout, on_timeout,
                       (uint64_t)t->tv_sec * 1000 + (uint64_t)t->tv_usec / 1000 + 1);
}

/* ---- sockets ---- */

static void on_handle_closed(struct dns_server *s)
{
    if (--s->handles > 0)
        return;
    ares_library_cleanup();
    free(s);
}

static void on_socket_closed(uv_handle_t *handle)
{
    struct dns_socket *k = handle->data;
    struct dns_server *s = k->server;
    free(k);
    on_handle_closed(s);
}

static void dns_server_on_poll(uv_poll_t *poll, int status, int events)
{
    struct dns_socket *k = poll->data;
    struct dns_server *s = k->server;
    bool failed = status < 0; /* c-ares gets the error when it reads or writes */
    if (s->closing)
        return;
    ares_process_fd(s->channel, failed || (events & UV_READABLE) ? k->fd : ARES_SOCKET_BAD,
                    failed || (events & UV_WRITABLE) ? k->fd : ARES_SOCKET_BAD);
    dns_server_rearm(s);
}

static struct dns_socket *find_socket(struct dns_server *s, ares_socket_t fd)
{
    struct dns_socket *k = NULL;
    LIST_FOREACH(k, &s->sockets, by_server) {
        if (k->fd == fd)
            return k;
    }
    return NULL;
}

/* If memory runs out the socket is not watched, and c-ares times out. */
static struct dns_socket *add_socket(struct dns_server *s, ares_socket_t fd)
{
    struct dns_socket *k = calloc(1, sizeof *k);
    if (k == NULL || uv_poll_init(s->loop, &k->poll, fd) < 0) {
        free(k);
        return NULL;
    }
    k->poll.data = k;
    k->server = s;
    k->fd = fd;
    s->handles++;
    LIST_INSERT_HEAD(&s->sockets, k, by_server);
    return k;
}

static void dns_server_close_socket(struct dns_socket *k)
{
    LIST_REMOVE(k, by_server);
    uv_close((uv_handle_t *)&k->poll, on_socket_closed);
}

/* With no events c-ares closes the socket when this returns. Its number may be reused before the
 * handle is closed, so the handle leaves the list at once. */
static void on_socket_state(void *arg, ares_socket_t fd, int readable, int writable)
{
    struct dns_server *s = arg;
    int events = (readable ? UV_READABLE : 0) | (writable ? UV_WRITABLE : 0);
    struct dns_socket *k = find_socket(s, fd);
    if (k == NULL && events != 0 && !s->closing)
        k = add_socket(s, fd);
    if (k == NULL)
        return;
    if (events != 0) {
        uv_poll_start(&k->poll, events, dns_server_on_poll);
        return;
    }
    dns_server_close_socket(k);
}

/* ---- replies ---- */

static const char *error_of(int rc)
{
    switch (rc) {
    case -E2BIG:
        return "too many records";
    case -EMSGSIZE:
        return "truncated answer";
    case -ENOMEM:
        return "out of memory";
    default:
        return "invalid answer";
    }
}

/* The server answered that it cannot answer, or there was no answer. */
static const char *error_of_status(int status)
{
    switch (status) {
    case ARES_EFORMERR:
        return "FORMERR, no name server gave an answer";
    case ARES_ESERVFAIL:
        return "SERVFAIL, no name server gave an answer";
    case ARES_ENOTIMP:
        return "NOTIMP, no name server gave an answer";
    case ARES_EREFUSED:
        return "REFUSED, no name server gave an answer";
    case ARES_ECONNREFUSED:
        return "not reachable, no name server gave an answer";
    case ARES_EBADNAME:
        return "invalid name";
    case ARES_ENOMEM:
        return "out of memory";
    case ARES_EBADRESP:
        return "invalid answer";
    default:
        return ares_strerror(status);
    }
}

static struct dns_reply failure(const char *error)
{
    return (struct dns_reply){ .outcome = DNS_FAILED, .error = error };
}

/* The caller frees the answer. c-ares 1.18 checks only the header of a message. */
static struct dns_reply read_reply(enum dns_type type, int status, const uint8_t *bytes, size_t len)
{
    struct dns_reply r = { .outcome = DNS_ANSWERED };
    bool answered = status == ARES_SUCCESS || status == ARES_ENODATA || status == ARES_ENOTFOUND;
    if (bytes == NULL || !answered)
        return failure(error_of_status(status));
    int rc = dns_answer_parse(&r.answer, bytes, len, type);
    if (rc < 0)
        return failure(error_of(rc));
    if (r.answer.count == 0 && r.answer.bad_target_count > 0) {
        r.outcome = DNS_FAILED;
        r.error = "no target is a host name";
    } else if (r.answer.count == 0) {
        r.outcome = DNS_EMPTY;
        r.error = status == ARES_ENOTFOUND ? "NXDOMAIN, no such name" : "no such records";
    }
    return r;
}

/* ---- tries ---- */

static void dns_try_finish(struct dns_try *t, int status, const uint8_t *bytes, size_t len)
{
    enum dns_try_end end = bytes != NULL             ? DNS_TRY_REPLIED
                           : status == ARES_ETIMEOUT ? DNS_TRY_TIMED_OUT
                                                     : DNS_TRY_FAILED;
    LIST_REMOVE(t, by_server);
    if (t->done != NULL) {
        struct dns_reply reply = read_reply(t->type, status, bytes, len);
        t->done(t->arg, t, end, &reply);
        dns_answer_free(&reply.answer);
    }
    free(t);
}

static void on_answer(void *arg, int status, int timeouts, unsigned char *bytes, int len)
{
    struct dns_try *t = arg;
    struct dns_server *s = t->server;
    (void)timeouts;
    if (!s->asking) {
        dns_try_finish(t, status, bytes, bytes == NULL ? 0 : (size_t)len);
        return;
    }
    t->status = status; /* not sent: reported later, not within dns_server_ask() */
    LIST_REMOVE(t, by_server);
    LIST_INSERT_HEAD(&s->failed, t, by_server);
}

static void dns_server_on_soon(uv_timer_t *timer)
{
    struct dns_server *s = timer->data;
    struct dns_try *t = LIST_FIRST(&s->failed);
    if (t != NULL) /* one at a time: done() may ask or close */
        dns_try_finish(t, t->status, NULL, 0);
    dns_server_rearm(s);
}

static void on_timeout(uv_timer_t *timer)
{
    struct dns_server *s = timer->data;
    if (!s->closing)
        ares_process_fd(s->channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
    dns_server_rearm(s);
}

struct dns_try *dns_server_ask(struct dns_server *s, const char *name, enum dns_type type,
                               dns_try_done_fn *done, void *arg)
{
    struct dns_try *t = calloc(1, sizeof *t);
    if (t == NULL)
        return NULL;
    t->server = s;
    t->done = done;
    t->arg = arg;
    t->type = type;
    LIST_INSERT_HEAD(&s->asked, t, by_server);
    s->asking = true;
    ares_query(s->channel, name, DNS_CLASS_IN, (int)type, on_answer, t);
    s->asking = false;
    dns_server_rearm(s);
    return t;
}

void dns_try_cancel(struct dns_try *t)
{
    t->done = NULL;
}

/* ---- open and close ---- */

static int to_errno(int status)
{
    return status == ARES_ENOMEM ? -ENOMEM : -EIO;
}

static int dns_server_set_address(ares_channel channel, const struct addr *a)
{
    struct ares_addr_port_node node = { .family = a->sa.sa_family };
    node.udp_port = node.tcp_port = addr_port(a);
    if (node.family == AF_INET)
        node.addr.addr4 = a->in.sin_addr;
    else
        memcpy(&node.addr.addr6, &a->in6.sin6_addr, sizeof node.addr.addr6);
    return ares_set_servers_ports(channel, &node);
}

/* NOCHECKRESP: SERVFAIL and REFUSED are passed on as answers. Versions after 1.18 adapt the timeout
 * to the server's usual time, so they get more tries within the same time; and they cache answers,
 * which is turned off, since the cache would ignore resolve_max. */
static int open_channel(struct dns_server *s, const struct addr *at)
{
    char files_alone[] = "f";
    char no_resolv[] = NO_RESOLV;
    struct ares_options options = {
        .flags = ARES_FLAG_NOSEARCH | ARES_FLAG_NOALIASES | ARES_FLAG_NOCHECKRESP | ARES_FLAG_EDNS,
        .timeout = TIMEOUT_MS,
        .tries = 1,
        .lookups = files_alone,
        .ednspsz = EDNS_SIZE,
        .resolvconf_path = no_resolv,
        .sock_state_cb = on_socket_state,
        .sock_state_cb_data = s,
    };
    int mask = ARES_OPT_FLAGS | ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_LOOKUPS |
               ARES_OPT_EDNSPSZ | ARES_OPT_RESOLVCONF | ARES_OPT_NOROTATE | ARES_OPT_SOCK_STATE_CB;
#ifdef ARES_OPT_QUERY_CACHE
    options.qcache_max_ttl = 0;
    options.tries = 3;
    options.timeout = TIMEOUT_MS / 2;
    options.maxtimeout = TIMEOUT_MS;
    mask |= ARES_OPT_QUERY_CACHE | ARES_OPT_MAXTIMEOUTMS;
#endif
    int status = ares_init_options(&s->channel, &options, mask);
    if (status != ARES_SUCCESS)
        return status;
    status = dns_server_set_address(s->channel, at);
    if (status != ARES_SUCCESS)
        ares_destroy(s->channel);
    return status;
}

int dns_server_open(struct dns_server **out, uv_loop_t *loop, const struct addr *at)
{
    struct dns_server *s = calloc(1, sizeof *s);
    if (s == NULL)
        return -ENOMEM;
    int status = ares_library_init(ARES_LIB_INIT_ALL);
    if (status != ARES_SUCCESS)
        goto free_server;
    s->loop = loop;
    LIST_INIT(&s->sockets);
    LIST_INIT(&s->asked);
    LIST_INIT(&s->failed);
    if ((status = open_channel(s, at)) != ARES_SUCCESS)
        goto leave_library;
    uv_timer_init(loop, &s->soon);
    deadline_init(&s->timeout, loop);
    s->soon.data = s->timeout.timer.data = s;
    s->handles = 2;
    *out = s;
    return 0;
leave_library:
    ares_library_cleanup();
free_server:
    free(s);
    return to_errno(status);
}

/* Unlike dns_server_close(), this never runs within a callback of c-ares. */
static void on_soon_closed(uv_handle_t *handle)
{
    struct dns_server *s = handle->data;
    ares_destroy(s->channel); /* ends all tries in asked */
    struct dns_try *t = LIST_FIRST(&s->failed);
    while (t != NULL) {
        struct dns_try *next = LIST_NEXT(t, by_server);
        free(t);
        t = next;
    }
    on_handle_closed(s);
}

static void on_timeout_closed(uv_handle_t *handle)
{
    on_handle_closed(handle->data);
}

static void cancel_all(struct dns_tries *tries)
{
    struct dns_try *t = NULL;
    LIST_FOREACH(t, tries, by_server) {
        dns_try_cancel(t);
    }
}

void dns_server_close(struct dns_server *s)
{
    if (s->closing)
        return;
    s->closing = true;
    cancel_all(&s->asked);
    cancel_all(&s->failed);
    while (!LIST_EMPTY(&s->sockets))
        dns_server_close_socket(LIST_FIRST(&s->sockets));
    uv_close((uv_handle_t *)&s->soon, on_soon_closed);
    uv_close((uv_handle_t *)&s->timeout, on_timeout_closed);
}

/* ---- resolv.conf ---- */

static struct addr to_addr(const struct ares_addr_port_node *node)
{
    const uint16_t port = htons((uint16_t)(node->udp_port == 0 ? DNS_PORT : node->udp_port));
    struct addr a;
    memset(&a, 0, sizeof a);
    if (node->family == AF_INET) {
        a.len = sizeof a.in;
        a.in.sin_family = AF_INET;
        a.in.sin_addr = node->addr.addr4;
        a.in.sin_port = port;
        return a;
    }
    a.len = sizeof a.in6;
    a.in6.sin6_family = AF_INET6;
    memcpy(&a.in6.sin6_addr, &node->addr.addr6, sizeof a.in6.sin6_addr);
    a.in6.sin6_port = port;
    return a;
}

static ssize_t to_list(const struct ares_addr_port_node *first, struct addr **out)
{
    size_t count = 0;
    for (const struct ares_addr_port_node *n = first; n != NULL; n = n->next)
        count++;
    struct addr *list = calloc(count + 1, sizeof *list);
    if (list == NULL)
        return -ENOMEM;
    count = 0;
    for (const struct ares_addr_port_node *n = first; n != NULL; n = n->next)
        list[count++] = to_addr(n);
    *out = list;
    return (ssize_t)count;
}

ssize_t dns_server_read_resolv_conf(struct addr **out)
{
    struct ares_options options = { .flags = ARES_FLAG_NOSEARCH };
    struct ares_addr_port_node *nodes = NULL;
    ares_channel channel;
    ssize_t count = 0;
    int status = ares_library_init(ARES_LIB_INIT_ALL);
    if (status != ARES_SUCCESS)
        return to_errno(status);
    status = ares_init_options(&channel, &options, ARES_OPT_FLAGS);
    if (status == ARES_SUCCESS) {
        status = ares_get_servers_ports(channel, &nodes);
        if (status == ARES_SUCCESS)
            count = to_list(nodes, out);
        ares_free_data(nodes);
        ares_destroy(channel);
    }
    ares_library_cleanup();
    return status == ARES_SUCCESS ? count : to_errno(status);
}
