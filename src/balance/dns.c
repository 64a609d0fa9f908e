#define CARES_NO_DEPRECATED
#include "balance/dns.h"

#include <ares.h>
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/queue.h>

#include "balance/dns_server.h"
#include "base/deadline.h"
#include "base/file_stamp.h"
#include "base/hash.h"

#define RESOLV_CONF   "/etc/resolv.conf"
#define FAILOVER_MS   1500 /* without an answer the next server is asked, too */
#define PROBE_MS      5000 /* between questions to a dead server */
#define ROUNDS        2    /* how often each server is asked */
#define IN_FLIGHT_MAX 64   /* queries in flight; the others wait, since some servers drop a flood */
#define SERVERS_MAX   16   /* name servers in use */

struct nameserver {
    struct addr at;
    struct dns_server *dns;
    uint64_t heard; /* ms of the loop, its last message; 0: none */
    uint64_t probe; /* ms, when a dead server is asked again */
    bool dead;
};

/* One caller of dns_ask(). */
struct dns_question {
    LIST_ENTRY(dns_question) by_query;
    struct dns_query *query;
    dns_done_fn *done;
    void *arg;
};

/* The tries of a query at one server. */
struct attempt {
    struct dns_try *in_flight[ROUNDS]; /* a late answer counts; NULL: ended */
    uint64_t began;
    unsigned count;
    bool refused; /* it refused, or is not reachable */
};

LIST_HEAD(dns_questions, dns_question);

/* A name and a type, for all callers that ask for them. */
struct dns_query {
    TAILQ_ENTRY(dns_query) by_dns; /* in dns.waiting, then in dns.asked */
    struct dns *dns;
    struct dns_questions questions;
    struct attempt attempt[SERVERS_MAX];
    size_t last;       /* the last server asked */
    bool is_last_wait; /* all servers were asked in all rounds */
    uint64_t due;      /* when the next server is asked, or the last wait ends */
    const char *error; /* of the last failed try */
    uint64_t hash;
    enum dns_type type;
    bool asked;
    char name[];
};

TAILQ_HEAD(dns_queries, dns_query);

struct dns {
    uv_loop_t *loop;
    struct deadline failover; /* for the first query that is due */
    uint64_t failover_due;    /* ms of the loop, while that runs */
    uv_timer_t soon;          /* to send waiting queries */
    unsigned handles;         /* open */
    struct nameserver nameserver[SERVERS_MAX];
    size_t nameserver_count;
    bool from_file;
    struct file_stamp stamp; /* of resolv.conf when it was read */
    struct dns_queries waiting;
    struct dns_queries asked;
    size_t asked_count;
    struct dns_query *notifying; /* its callbacks are being called */
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

static void dns_on_soon(uv_timer_t *timer);
static void on_failover(uv_timer_t *timer);

static uint64_t first_due(const struct dns *d)
{
    const struct dns_query *q = NULL;
    uint64_t due = UINT64_MAX;
    TAILQ_FOREACH(q, &d->asked, by_dns) {
        if (q->due < due)
            due = q->due;
    }
    return due;
}

/* A running timer is not restarted for the same query, so that answers to others do not delay it.
 */
static void await_failover(struct dns *d)
{
    uint64_t now = uv_now(d->loop);
    uint64_t due = first_due(d);
    if (due == UINT64_MAX)
        deadline_stop(&d->failover);
    else if (due != d->failover_due || !uv_is_active((const uv_handle_t *)&d->failover))
        deadline_start(&d->failover, on_failover, due > now ? due - now : 0);
    d->failover_due = due;
}

static void dns_rearm(struct dns *d)
{
    if (d->closing)
        return;
    if (!TAILQ_EMPTY(&d->waiting) && d->asked_count < IN_FLIGHT_MAX)
        uv_timer_start(&d->soon, dns_on_soon, 0, 0);
    await_failover(d);
}

/* ---- the end of a query ---- */

static void cancel_tries(struct dns_query *q)
{
    for (size_t i = 0; i < SERVERS_MAX; i++)
        for (int n = 0; n < ROUNDS; n++)
            if (q->attempt[i].in_flight[n] != NULL)
                dns_try_cancel(q->attempt[i].in_flight[n]);
    memset(q->attempt, 0, sizeof q->attempt);
}

static void free_query(struct dns_query *q)
{
    struct dns_question *a = LIST_FIRST(&q->questions);
    while (a != NULL) {
        struct dns_question *next = LIST_NEXT(a, by_query);
        free(a);
        a = next;
    }
    free(q);
}

static void dns_query_unlink(struct dns_query *q)
{
    struct dns *d = q->dns;
    if (q->asked) {
        TAILQ_REMOVE(&d->asked, q, by_dns);
        d->asked_count--;
        cancel_tries(q);
    } else {
        TAILQ_REMOVE(&d->waiting, q, by_dns);
    }
}

/* Calls done() of all callers. They may ask, cancel and close from there. */
static void dns_query_finish(struct dns_query *q, const struct dns_reply *reply)
{
    struct dns *d = q->dns;
    dns_query_unlink(q);
    d->notifying = q;
    while (!d->closing && !LIST_EMPTY(&q->questions)) {
        struct dns_question *a = LIST_FIRST(&q->questions);
        LIST_REMOVE(a, by_query);
        a->done(a->arg, reply);
        free(a);
    }
    d->notifying = NULL;
    free_query(q);
}

/* ---- choice of the server ---- */

/* The first dead (or live) server that this round has not sent the query to. SIZE_MAX: none. */
static size_t find_server(const struct dns *d, const struct dns_query *q, unsigned round, bool dead)
{
    for (size_t i = 0; i < d->nameserver_count; i++)
        if (d->nameserver[i].dead == dead && q->attempt[i].count == round && !q->attempt[i].refused)
            return i;
    return SIZE_MAX;
}

static size_t dns_next_nameserver(const struct dns *d, const struct dns_query *q)
{
    for (unsigned round = 0; round < ROUNDS; round++)
        for (int dead = 0; dead <= 1; dead++) {
            size_t i = find_server(d, q, round, dead != 0);
            if (i != SIZE_MAX)
                return i;
        }
    return SIZE_MAX;
}

static void note_timeout(struct dns *d, size_t i, uint64_t since)
{
    struct nameserver *s = &d->nameserver[i];
    if (s->heard >= since && s->heard != 0)
        return; /* it answers other questions meanwhile */
    if (!s->dead)
        s->probe = uv_now(d->loop) + PROBE_MS;
    s->dead = true;
}

static void note_answer(struct dns *d, size_t i)
{
    d->nameserver[i].heard = uv_now(d->loop);
    d->nameserver[i].dead = false;
}

/* ---- tries ---- */

static void on_try(void *arg, struct dns_try *t, enum dns_try_end end,
                   const struct dns_reply *reply);

static bool try_server(struct dns_query *q, size_t i)
{
    struct attempt *a = &q->attempt[i];
    struct dns_try *t = dns_server_ask(q->dns->nameserver[i].dns, q->name, q->type, on_try, q);
    a->began = uv_now(q->dns->loop);
    a->in_flight[a->count++] = t;
    a->refused = t == NULL;
    return !a->refused;
}

static bool is_waited_for(const struct attempt *a)
{
    for (int n = 0; n < ROUNDS; n++)
        if (a->in_flight[n] != NULL)
            return true;
    return false;
}

static bool is_in_flight(const struct dns_query *q)
{
    for (size_t i = 0; i < SERVERS_MAX; i++)
        if (is_waited_for(&q->attempt[i]))
            return true;
    return false;
}

static void dns_query_fail(struct dns_query *q)
{
    const struct dns_reply r = { .outcome = DNS_FAILED,
                                 .error =
                                     q->error != NULL ? q->error : "timeout, no answer in time" };
    dns_query_finish(q, &r);
}

/* Asks the next server. If there is none, waits for the tries in flight. */
static void ask_next(struct dns_query *q)
{
    struct dns *d = q->dns;
    q->due = uv_now(d->loop) + FAILOVER_MS;
    for (size_t i = dns_next_nameserver(d, q); i != SIZE_MAX; i = dns_next_nameserver(d, q)) {
        q->last = i;
        if (try_server(q, i))
            return;
        q->error = "out of memory";
    }
    q->is_last_wait = true;
    if (!is_in_flight(q))
        dns_query_fail(q);
}

/* Sends the query to dead servers that are due, in parallel with the regular server. */
static void probe_dead(struct dns_query *q)
{
    struct dns *d = q->dns;
    uint64_t now = uv_now(d->loop);
    for (size_t i = 0; i < d->nameserver_count; i++)
        if (d->nameserver[i].dead && d->nameserver[i].probe <= now && q->attempt[i].count == 0) {
            d->nameserver[i].probe = now + PROBE_MS;
            (void)try_server(q, i);
        }
}

static void dns_query_begin(struct dns_query *q)
{
    q->is_last_wait = false;
    q->error = NULL;
    probe_dead(q);
    ask_next(q);
}

/* The last server asked did not answer in time. */
static void dns_query_failover(struct dns_query *q)
{
    const struct attempt *last = &q->attempt[q->last];
    if (last->count == 0) { /* the servers were replaced */
        dns_query_begin(q);
        return;
    }
    if (is_waited_for(last))
        note_timeout(q->dns, q->last, last->began);
    if (q->is_last_wait)
        dns_query_fail(q);
    else
        ask_next(q);
}

/* Removes the try from the query. Returns the index of its server. */
static size_t end_try(struct dns_query *q, const struct dns_try *t)
{
    for (size_t i = 0; i < SERVERS_MAX; i++)
        for (int n = 0; n < ROUNDS; n++)
            if (q->attempt[i].in_flight[n] == t) {
                q->attempt[i].in_flight[n] = NULL;
                return i;
            }
    assert(0);
    return 0;
}

static void on_try(void *arg, struct dns_try *t, enum dns_try_end end,
                   const struct dns_reply *reply)
{
    struct dns_query *q = arg;
    struct dns *d = q->dns;
    size_t i = end_try(q, t);
    struct attempt *a = &q->attempt[i];
    if (end == DNS_TRY_REPLIED)
        note_answer(d, i);
    else
        note_timeout(d, i, a->began);
    if (reply->outcome != DNS_FAILED) {
        dns_query_finish(q, reply);
    } else if (end != DNS_TRY_TIMED_OUT) { /* otherwise the failover timer asks the next one */
        a->refused = true;
        q->error = reply->error;
        if (i == q->last && !q->is_last_wait)
            ask_next(q);
        else if (q->is_last_wait && !is_in_flight(q))
            dns_query_fail(q);
    }
    if (!d->closing)
        dns_rearm(d);
}

static void dns_send_waiting(struct dns *d)
{
    struct dns_query *q = NULL;
    while (!d->closing && d->asked_count < IN_FLIGHT_MAX &&
           (q = TAILQ_FIRST(&d->waiting)) != NULL) {
        TAILQ_REMOVE(&d->waiting, q, by_dns);
        TAILQ_INSERT_TAIL(&d->asked, q, by_dns);
        d->asked_count++;
        q->asked = true;
        dns_query_begin(q);
    }
}

/* A query that is due. */
static struct dns_query *find_due(struct dns *d, uint64_t now)
{
    struct dns_query *q = NULL;
    TAILQ_FOREACH(q, &d->asked, by_dns) {
        if (q->due <= now)
            return q;
    }
    return NULL;
}

static void dns_on_soon(uv_timer_t *timer)
{
    struct dns *d = timer->data;
    dns_send_waiting(d);
    dns_rearm(d);
}

/* A query that is not finished gets a later due time. A callback may end other queries, or all. */
static void on_failover(uv_timer_t *timer)
{
    struct dns *d = timer->data;
    uint64_t now = uv_now(d->loop);
    struct dns_query *q = NULL;
    while (!d->closing && (q = find_due(d, now)) != NULL)
        dns_query_failover(q);
    dns_rearm(d);
}

/* ---- questions ---- */

static uint64_t hash_of(const char *name, enum dns_type type)
{
    return hash_bytes(name, strlen(name)) + type;
}

static struct dns_query *find_query(struct dns_queries *list, uint64_t hash, const char *name,
                                    enum dns_type type)
{
    struct dns_query *q = NULL;
    TAILQ_FOREACH(q, list, by_dns) {
        if (q->hash == hash && q->type == type && strcmp(q->name, name) == 0)
            return q;
    }
    return NULL;
}

static struct dns_query *new_query(struct dns *d, const char *name, enum dns_type type)
{
    size_t size = strlen(name) + 1;
    struct dns_query *q = calloc(1, sizeof *q + size);
    if (q == NULL)
        return NULL;
    q->dns = d;
    q->type = type;
    q->hash = hash_of(name, type);
    LIST_INIT(&q->questions);
    memcpy(q->name, name, size);
    TAILQ_INSERT_TAIL(&d->waiting, q, by_dns);
    return q;
}

struct dns_question *dns_ask(struct dns *d, const char *name, enum dns_type type, dns_done_fn *done,
                             void *arg)
{
    uint64_t hash = hash_of(name, type);
    struct dns_question *a = calloc(1, sizeof *a);
    struct dns_query *q = find_query(&d->asked, hash, name, type);
    assert(!d->closing);
    if (q == NULL)
        q = find_query(&d->waiting, hash, name, type);
    if (q == NULL && a != NULL)
        q = new_query(d, name, type);
    if (a == NULL || q == NULL) {
        free(a);
        return NULL;
    }
    a->query = q;
    a->done = done;
    a->arg = arg;
    LIST_INSERT_HEAD(&q->questions, a, by_query);
    dns_rearm(d);
    return a;
}

void dns_cancel(struct dns_question *a)
{
    struct dns_query *q = a->query;
    LIST_REMOVE(a, by_query);
    free(a);
    if (LIST_EMPTY(&q->questions) && !q->asked && q->dns->notifying != q) {
        dns_query_unlink(q);
        free_query(q);
    }
}

/* ---- servers ---- */

static bool are_same(const struct dns *d, const struct addr *at, size_t count)
{
    if (d->nameserver_count != count)
        return false;
    for (size_t i = 0; i < count; i++)
        if (!addr_equal(&d->nameserver[i].at, &at[i]))
            return false;
    return true;
}

static void close_servers(struct nameserver *s, size_t count)
{
    for (size_t i = 0; i < count; i++)
        dns_server_close(s[i].dns);
}

/* Sends all queries again, to the new servers. */
static void ask_anew(struct dns *d)
{
    struct dns_query *q = NULL;
    TAILQ_FOREACH(q, &d->asked, by_dns) {
        cancel_tries(q);
        q->due = 0; /* asked by the timer, since asking may end the query */
    }
    dns_rearm(d);
}

static int replace_servers(struct dns *d, const struct addr *at, size_t count)
{
    struct nameserver next[SERVERS_MAX] = { 0 };
    if (count > SERVERS_MAX)
        count = SERVERS_MAX;
    if (are_same(d, at, count))
        return 0;
    for (size_t i = 0; i < count; i++) {
        int rc = dns_server_open(&next[i].dns, d->loop, &at[i]);
        if (rc < 0) {
            close_servers(next, i);
            return rc;
        }
        next[i].at = at[i];
    }
    ask_anew(d);
    close_servers(d->nameserver, d->nameserver_count);
    memcpy(d->nameserver, next, sizeof next);
    d->nameserver_count = count;
    return 1;
}

static int dns_read_file(struct dns *d)
{
    struct addr *list = NULL;
    struct file_stamp now = file_stamp_get(RESOLV_CONF);
    ssize_t count = dns_server_read_resolv_conf(&list);
    if (count < 0)
        return (int)count;
    d->stamp = now;
    int rc = replace_servers(d, list, (size_t)count);
    free(list);
    return rc;
}

int dns_set_servers(struct dns *d, const struct addr *servers, size_t count)
{
    d->from_file = count == 0;
    if (count > 0)
        return replace_servers(d, servers, count);
    bool is_there = file_stamp_get(RESOLV_CONF).ino != 0;
    return is_there || d->nameserver_count == 0 ? dns_read_file(d) : 0;
}

int dns_check_servers(struct dns *d)
{
    struct file_stamp now = file_stamp_get(RESOLV_CONF);
    if (!d->from_file || now.ino == 0 || file_stamp_equal(&now, &d->stamp))
        return 0;
    return dns_read_file(d);
}

/* ---- open and close ---- */

static void dns_on_closed(uv_handle_t *handle)
{
    struct dns *d = handle->data;
    if (--d->handles == 0)
        free(d);
}

int dns_open(struct dns **out, uv_loop_t *loop, const struct addr *servers, size_t count)
{
    struct dns *d = calloc(1, sizeof *d);
    if (d == NULL)
        return -ENOMEM;
    d->loop = loop;
    TAILQ_INIT(&d->waiting);
    TAILQ_INIT(&d->asked);
    uv_timer_init(loop, &d->soon);
    deadline_init(&d->failover, loop);
    d->soon.data = d->failover.timer.data = d;
    d->handles = 2;
    int rc = dns_set_servers(d, servers, count);
    if (rc < 0)
        dns_close(d);
    else
        *out = d;
    return rc < 0 ? rc : 0;
}

static void free_queries(struct dns_queries *list)
{
    struct dns_query *q = TAILQ_FIRST(list);
    while (q != NULL) {
        struct dns_query *next = TAILQ_NEXT(q, by_dns);
        cancel_tries(q);
        free_query(q);
        q = next;
    }
    TAILQ_INIT(list);
}

void dns_close(struct dns *d)
{
    if (d->closing)
        return;
    d->closing = true;
    free_queries(&d->waiting);
    free_queries(&d->asked);
    close_servers(d->nameserver, d->nameserver_count);
    uv_close((uv_handle_t *)&d->soon, dns_on_closed);
    uv_close((uv_handle_t *)&d->failover, dns_on_closed);
}
