#include "balance/dns.h"

#include <ares.h>
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/queue.h>
#include <unistd.h>

#define TIMEOUT_MS 1500 /* for the first try at a server, twice as long for the next one */
#define TRIES      2
#define AT_ONCE    64 /* questions on their way; the others wait: some servers drop a flood */

/* A socket of c-ares: it makes and closes them, and says what each is to be watched for. */
struct dns_socket {
    uv_poll_t poll;
    struct dns *dns;
    ares_socket_t fd;
    LIST_ENTRY(dns_socket) by_dns;
};

struct dns_question {
    TAILQ_ENTRY(dns_question) by_dns; /* of those that wait, then of those that were asked */
    struct dns *dns;
    dns_done_fn *done; /* NULL: forgotten */
    void *arg;
    enum dns_type type;
    bool asked;
    char name[];
};

LIST_HEAD(dns_sockets, dns_socket);
TAILQ_HEAD(dns_questions, dns_question);

struct dns {
    ares_channel channel;
    uv_loop_t *loop;
    uv_timer_t timer; /* of c-ares; at once when questions wait that may be asked */
    struct dns_sockets sockets;
    struct dns_questions waiting;
    struct dns_questions asked;
    size_t asked_count;
    size_t handles; /* open ones: the last frees all */
    bool closing;
};

bool dns_is_built(void)
{
    return true;
}

const char *dns_version(void)
{
    return ares_version(NULL);
}

static void on_timer(uv_timer_t *timer);

/* Sleeps until c-ares has to look after time-outs. */
static void rearm(struct dns *d)
{
    struct timeval left;
    if (d->closing)
        return;
    if (!TAILQ_EMPTY(&d->waiting) && d->asked_count < AT_ONCE) {
        uv_timer_start(&d->timer, on_timer, 0, 0);
        return;
    }
    const struct timeval *t = ares_timeout(d->channel, NULL, &left);
    if (t == NULL)
        uv_timer_stop(&d->timer);
    else
        uv_timer_start(&d->timer, on_timer,
                       (uint64_t)t->tv_sec * 1000 + (uint64_t)t->tv_usec / 1000 + 1, 0);
}

/* ---- sockets ---- */

static void on_handle_closed(struct dns *d)
{
    if (--d->handles > 0)
        return;
    ares_library_cleanup();
    free(d);
}

static void on_socket_closed(uv_handle_t *handle)
{
    struct dns_socket *s = handle->data;
    struct dns *d = s->dns;
    free(s);
    on_handle_closed(d);
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
    struct dns_socket *s = poll->data;
    struct dns *d = s->dns;
    bool failed = status < 0; /* reading or writing will tell c-ares why */
    if (d->closing)
        return;
    ares_process_fd(d->channel, failed || (events & UV_READABLE) ? s->fd : ARES_SOCKET_BAD,
                    failed || (events & UV_WRITABLE) ? s->fd : ARES_SOCKET_BAD);
    rearm(d);
}

static struct dns_socket *find_socket(struct dns *d, ares_socket_t fd)
{
    struct dns_socket *s = NULL;
    LIST_FOREACH(s, &d->sockets, by_dns) {
        if (s->fd == fd)
            return s;
    }
    return NULL;
}

/* Without memory for it the socket is not watched, and c-ares sees a time-out. */
static struct dns_socket *add_socket(struct dns *d, ares_socket_t fd)
{
    struct dns_socket *s = calloc(1, sizeof *s);
    if (s == NULL || uv_poll_init(d->loop, &s->poll, fd) < 0) {
        free(s);
        return NULL;
    }
    s->poll.data = s;
    s->dns = d;
    s->fd = fd;
    d->handles++;
    LIST_INSERT_HEAD(&d->sockets, s, by_dns);
    return s;
}

static void close_socket(struct dns_socket *s)
{
    LIST_REMOVE(s, by_dns);
    uv_close((uv_handle_t *)&s->poll, on_socket_closed);
}

/* With neither wanted c-ares closes the socket as soon as this returns: the number may be another
 * one's when the handle has been closed. */
static void on_socket_state(void *arg, ares_socket_t fd, int readable, int writable)
{
    struct dns *d = arg;
    int events = (readable ? UV_READABLE : 0) | (writable ? UV_WRITABLE : 0);
    struct dns_socket *s = find_socket(d, fd);
    if (s == NULL && events != 0 && !d->closing)
        s = add_socket(d, fd);
    if (s == NULL)
        return;
    if (events != 0) {
        uv_poll_start(&s->poll, events, on_poll);
        return;
    }
    close_socket(s);
}

/* ---- questions ---- */

static struct dns_reply reply_of(int status)
{
    struct dns_reply r = { .outcome = DNS_FAILED };
    switch (status) {
    case ARES_SUCCESS:
        r.outcome = DNS_ANSWERED;
        break;
    case ARES_ENODATA:
        r.outcome = DNS_EMPTY;
        r.error = "no such records";
        break;
    case ARES_ENOTFOUND:
        r.outcome = DNS_EMPTY;
        r.error = "no such name";
        break;
    case ARES_EBADNAME:
        r.error = "not a name";
        break;
    case ARES_ETIMEOUT:
        r.error = "no answer in time";
        break;
    case ARES_ECONNREFUSED: /* not there, or said so: SERVFAIL and REFUSED come as this as well */
        r.error = "no name server gave an answer";
        break;
    default:
        r.error = ares_strerror(status);
        break;
    }
    return r;
}

static const char *error_of(int rc)
{
    switch (rc) {
    case -E2BIG:
        return "more records than can be servers";
    case -EMSGSIZE:
        return "an answer cut short";
    case -ENOMEM:
        return "out of memory";
    default:
        return "an answer that makes no sense";
    }
}

/* c-ares looks at no more than the header. */
static struct dns_reply read_reply(enum dns_type type, int status, const uint8_t *bytes, int len)
{
    struct dns_answer answer;
    struct dns_reply r = reply_of(status);
    if (bytes == NULL || (status != ARES_SUCCESS && status != ARES_ENODATA))
        return r;
    int rc = dns_answer_parse(&answer, bytes, (size_t)len, type);
    r = reply_of(rc == 0 && answer.count == 0 ? ARES_ENODATA : ARES_SUCCESS);
    r.answer = answer;
    if (rc < 0) {
        r.outcome = DNS_FAILED;
        r.error = error_of(rc);
    }
    return r;
}

static void on_answer(void *arg, int status, int timeouts, unsigned char *bytes, int len)
{
    struct dns_question *q = arg;
    struct dns *d = q->dns;
    (void)timeouts;
    TAILQ_REMOVE(&d->asked, q, by_dns);
    d->asked_count--;
    if (q->done != NULL) {
        struct dns_reply r = read_reply(q->type, status, bytes, len);
        q->done(q->arg, &r);
        dns_answer_free(&r.answer);
    }
    free(q);
}

static void ask_those_waiting(struct dns *d)
{
    struct dns_question *q = NULL;
    while (!d->closing && d->asked_count < AT_ONCE && (q = TAILQ_FIRST(&d->waiting)) != NULL) {
        TAILQ_REMOVE(&d->waiting, q, by_dns);
        TAILQ_INSERT_TAIL(&d->asked, q, by_dns);
        d->asked_count++;
        q->asked = true;
        ares_query(d->channel, q->name, DNS_CLASS_IN, (int)q->type, on_answer, q);
    }
}

static void on_timer(uv_timer_t *timer)
{
    struct dns *d = timer->data;
    ares_process_fd(d->channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
    ask_those_waiting(d);
    rearm(d);
}

struct dns_question *dns_ask(struct dns *d, const char *name, enum dns_type type, dns_done_fn *done,
                             void *arg)
{
    size_t size = strlen(name) + 1;
    struct dns_question *q = malloc(sizeof *q + size);
    assert(!d->closing);
    if (q == NULL)
        return NULL;
    *q = (struct dns_question){ .dns = d, .done = done, .arg = arg, .type = type };
    memcpy(q->name, name, size);
    TAILQ_INSERT_TAIL(&d->waiting, q, by_dns);
    rearm(d);
    return q;
}

void dns_forget(struct dns_question *q)
{
    q->done = NULL;
    if (q->asked) /* c-ares will give it back */
        return;
    TAILQ_REMOVE(&q->dns->waiting, q, by_dns);
    free(q);
}

/* ---- hosts ---- */

struct hosts {
    dns_found_fn *found;
    void *arg;
    size_t count;
};

static void on_hosts(void *arg, int status, int timeouts, struct ares_addrinfo *result)
{
    struct hosts *h = arg;
    (void)status;
    (void)timeouts;
    if (result == NULL)
        return;
    for (const struct ares_addrinfo_node *n = result->nodes; n != NULL; n = n->ai_next) {
        h->found(h->arg, n->ai_addr);
        h->count++;
    }
    ares_freeaddrinfo(result);
}

static bool is_localhost(const char *name)
{
    const char suffix[] = ".localhost";
    size_t n = strlen(name);
    return strcasecmp(name, suffix + 1) == 0 ||
           (n >= sizeof suffix && strcasecmp(name + n - strlen(suffix), suffix) == 0);
}

static void find_localhost(struct hosts *h)
{
    const struct sockaddr_in in = { .sin_family = AF_INET,
                                    .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    const struct sockaddr_in6 in6 = { .sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT };
    h->found(h->arg, (const struct sockaddr *)&in);
    h->found(h->arg, (const struct sockaddr *)&in6);
    h->count += 2;
}

/* The channel looks up hosts in the file alone, so it calls back before it returns. */
size_t dns_look_in_hosts(struct dns *d, const char *name, dns_found_fn *found, void *arg)
{
    const struct ares_addrinfo_hints hints = { .ai_family = AF_UNSPEC, .ai_flags = ARES_AI_NOSORT };
    struct hosts h = { .found = found, .arg = arg };
    ares_getaddrinfo(d->channel, name, NULL, &hints, on_hosts, &h);
    if (h.count == 0 && is_localhost(name))
        find_localhost(&h);
    return h.count;
}

/* ---- begin and end ---- */

bool dns_can_read_servers(void)
{
    return access("/etc/resolv.conf", R_OK) == 0;
}

static int to_errno(int status)
{
    return status == ARES_ENOMEM ? -ENOMEM : -EIO;
}

static void fill_node(struct ares_addr_port_node *node, const struct addr *a)
{
    node->udp_port = node->tcp_port = addr_port(a);
    node->family = a->sa.sa_family;
    if (node->family == AF_INET)
        node->addr.addr4 = a->in.sin_addr;
    else
        memcpy(&node->addr.addr6, &a->in6.sin6_addr, sizeof node->addr.addr6);
}

static int set_servers(struct dns *d, const struct addr *servers, size_t count)
{
    struct ares_addr_port_node *nodes = calloc(count, sizeof *nodes);
    if (nodes == NULL)
        return ARES_ENOMEM;
    for (size_t i = 0; i < count; i++) {
        fill_node(&nodes[i], &servers[i]);
        nodes[i].next = i + 1 < count ? &nodes[i + 1] : NULL;
    }
    int status = ares_set_servers_ports(d->channel, nodes);
    free(nodes);
    return status;
}

static int open_channel(struct dns *d, const struct addr *servers, size_t count)
{
    char hosts_alone[] = "f";
    struct ares_options options = {
        .flags = ARES_FLAG_NOSEARCH | ARES_FLAG_NOALIASES,
        .timeout = TIMEOUT_MS,
        .tries = TRIES,
        .lookups = hosts_alone,
        .sock_state_cb = on_socket_state,
        .sock_state_cb_data = d,
    };
    int status = ares_init_options(&d->channel, &options,
                                   ARES_OPT_FLAGS | ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES |
                                       ARES_OPT_LOOKUPS | ARES_OPT_SOCK_STATE_CB);
    if (status != ARES_SUCCESS || count == 0)
        return status;
    status = set_servers(d, servers, count);
    if (status != ARES_SUCCESS)
        ares_destroy(d->channel);
    return status;
}

int dns_open(struct dns **out, uv_loop_t *loop, const struct addr *servers, size_t count)
{
    struct dns *d = calloc(1, sizeof *d);
    if (d == NULL)
        return -ENOMEM;
    int status = ares_library_init(ARES_LIB_INIT_ALL);
    if (status != ARES_SUCCESS)
        goto free_dns;
    if ((status = open_channel(d, servers, count)) != ARES_SUCCESS)
        goto leave_library;
    d->loop = loop;
    LIST_INIT(&d->sockets);
    TAILQ_INIT(&d->waiting);
    TAILQ_INIT(&d->asked);
    uv_timer_init(loop, &d->timer);
    d->timer.data = d;
    d->handles = 1;
    *out = d;
    return 0;
leave_library:
    ares_library_cleanup();
free_dns:
    free(d);
    return to_errno(status);
}

/* Nothing of c-ares is on the stack here, as it may have been in dns_close(). */
static void on_timer_closed(uv_handle_t *handle)
{
    struct dns *d = handle->data;
    ares_destroy(d->channel); /* gives back what was asked */
    on_handle_closed(d);
}

static void forget_all(struct dns_questions *questions)
{
    struct dns_question *q = TAILQ_FIRST(questions);
    while (q != NULL) {
        struct dns_question *next = TAILQ_NEXT(q, by_dns);
        dns_forget(q);
        q = next;
    }
}

void dns_close(struct dns *d)
{
    if (d->closing)
        return;
    d->closing = true;
    forget_all(&d->waiting);
    forget_all(&d->asked);
    while (!LIST_EMPTY(&d->sockets))
        close_socket(LIST_FIRST(&d->sockets));
    uv_close((uv_handle_t *)&d->timer, on_timer_closed);
}
