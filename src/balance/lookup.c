#include "balance/lookup.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HOSTS_TTL 10 /* seconds; the hosts file has none */

enum family {
    FAMILY_IN,
    FAMILY_IN6,
    FAMILIES = LOOKUP_PARTS,
};

static const enum dns_type type_of[FAMILIES] = { DNS_A, DNS_AAAA };
static const char *const type_name[FAMILIES] = { "A", "AAAA" };

/* One host and its addresses by family. */
struct host {
    struct lookup *lookup;
    char *name;
    struct lookup_part part[FAMILIES];
    struct lookup_hold hold;
};

struct lookup {
    struct lookup_setup setup;
    char *name;
    struct host *hosts; /* the host itself, or the targets of the service */
    size_t host_count;
    struct lookup_part services;
    struct lookup_hold hold; /* of the service */
    uint64_t failed;         /* ms, the last wait after unusable addresses */
    size_t pending;          /* questions of hosts in flight, and one while they are sent */
    char error[LOOKUP_ERROR_MAX];
};

static const struct lookup_context *context_of(const struct lookup *l)
{
    return l->setup.context;
}

/* ---- hosts ---- */

static int host_init(struct host *h, struct lookup *l, const char *name)
{
    *h = (struct host){ .lookup = l, .name = strdup(name) };
    for (int f = 0; f < FAMILIES; f++)
        h->part[f].cached.type = type_of[f];
    return h->name == NULL ? -ENOMEM : 0;
}

static void host_fini(struct host *h)
{
    for (int f = 0; f < FAMILIES; f++) {
        lookup_part_cancel(&h->part[f]);
        dns_answer_free(&h->part[f].cached);
    }
    free(h->name);
}

static void host_on_reply(struct host *h, enum family f, const struct dns_reply *reply);

static void on_ipv4_reply(void *arg, const struct dns_reply *reply)
{
    host_on_reply(arg, FAMILY_IN, reply);
}

static void on_ipv6_reply(void *arg, const struct dns_reply *reply)
{
    host_on_reply(arg, FAMILY_IN6, reply);
}

static void host_ask(struct host *h, enum family f)
{
    static const struct dns_reply none = { .outcome = DNS_FAILED, .error = "out of memory" };
    struct lookup *l = h->lookup;
    h->part[f].question = dns_ask(l->setup.context->dns, h->name, type_of[f],
                                  f == FAMILY_IN ? on_ipv4_reply : on_ipv6_reply, h);
    if (h->part[f].question == NULL)
        lookup_part_set(context_of(l), &h->part[f], &none);
    else
        l->pending++;
}

/* Adds an address of the hosts file as a record. */
static void on_found_in_hosts(void *arg, const struct sockaddr *sa)
{
    struct dns_reply *replies = arg;
    struct dns_answer *a = &replies[sa->sa_family == AF_INET ? FAMILY_IN : FAMILY_IN6].answer;
    if (a->count == DNS_RECORDS_MAX)
        return;
    union dns_record *grown = realloc(a->record, (a->count + 1) * sizeof *grown);
    if (grown == NULL)
        return;
    a->record = grown;
    if (sa->sa_family == AF_INET)
        grown[a->count].a = ((const struct sockaddr_in *)sa)->sin_addr;
    else
        grown[a->count].aaaa = ((const struct sockaddr_in6 *)sa)->sin6_addr;
    a->count++;
}

static bool host_look_in_file(struct host *h)
{
    struct dns_reply replies[FAMILIES] = { 0 };
    const struct hosts *file = h->lookup->setup.context->hosts;
    if (hosts_find(file, h->name, on_found_in_hosts, replies) == 0)
        return false;
    for (int f = 0; f < FAMILIES; f++) {
        struct dns_answer *a = &replies[f].answer;
        a->type = type_of[f];
        a->ttl = a->negative_ttl = HOSTS_TTL;
        replies[f].outcome = a->count > 0 ? DNS_ANSWERED : DNS_EMPTY;
        replies[f].error = a->count > 0 ? NULL : "no such records";
        lookup_part_set(context_of(h->lookup), &h->part[f], &replies[f]);
        dns_answer_free(a);
    }
    return true;
}

static void host_start(struct host *h)
{
    const struct lookup *l = h->lookup;
    if (!lookup_part_is_due(context_of(l), &h->part[FAMILY_IN]) &&
        !lookup_part_is_due(context_of(l), &h->part[FAMILY_IN6]))
        return;
    if (host_look_in_file(h))
        return;
    for (int f = 0; f < FAMILIES; f++)
        if (lookup_part_is_due(context_of(l), &h->part[f]))
            host_ask(h, (enum family)f);
}

static bool host_is_known(const struct host *h)
{
    return h->hold.gone || h->part[FAMILY_IN].cached.count + h->part[FAMILY_IN6].cached.count > 0;
}

/* ---- errors ---- */

/* Keeps the first error of a round. */
__attribute__((format(printf, 2, 3))) static void note_error(struct lookup *l, const char *text,
                                                             ...)
{
    va_list args;
    if (l->error[0] != '\0')
        return;
    va_start(args, text);
    vsnprintf(l->error, sizeof l->error, text, args);
    va_end(args);
}

/* Whether this answer belongs into the error. If the other family failed, "no records" of this one
 * does not, but NXDOMAIN does. */
static bool belongs_in_error(const struct lookup_part *p, const struct lookup_part *other)
{
    return p->outcome == DNS_FAILED || (p->outcome == DNS_EMPTY && other->outcome == DNS_FAILED &&
                                        strncmp(p->error, "NXDOMAIN", strlen("NXDOMAIN")) == 0);
}

/* Notes a failure of a family, or that the host has no addresses. For a service the host is named.
 */
static void note_host_error(struct lookup *l, const struct host *h)
{
    const struct lookup_part *in = &h->part[FAMILY_IN];
    const struct lookup_part *in6 = &h->part[FAMILY_IN6];
    const char *name = l->setup.service ? h->name : "";
    const char *colon = l->setup.service ? ": " : "";
    bool empty = in->outcome == DNS_EMPTY && in6->outcome == DNS_EMPTY;
    bool both = belongs_in_error(in, in6) && belongs_in_error(in6, in);
    if ((empty || both) && in->error == in6->error) {
        note_error(l, "%s%sA, AAAA: %s", name, colon, in->error);
    } else if (empty || both) {
        note_error(l, "%s%sA: %s; AAAA: %s", name, colon, in->error, in6->error);
    } else {
        for (int f = 0; f < FAMILIES; f++)
            if (h->part[f].outcome == DNS_FAILED)
                note_error(l, "%s%s%s: %s", name, colon, type_name[f], h->part[f].error);
    }
}

/* ---- end of a round ---- */

/* The result of a round while it is computed. */
struct sum {
    struct answers set;
    size_t refused; /* unusable addresses */
    size_t unknown; /* hosts and services without any answer so far */
};

static int lookup_add_address(struct lookup *l, struct sum *sum, const struct pool_answer *one)
{
    char text[ADDR_TEXT_MAX];
    const char *unusable = answers_why_unusable(&one->addr);
    if (unusable == NULL && !l->setup.usable(l->setup.arg, &one->addr))
        unusable = "zproxy itself listens there";
    if (unusable == NULL)
        return answers_add(&sum->set, one);
    note_error(l, "%s: %s", addr_print(&one->addr, text), unusable);
    sum->refused++;
    return 0;
}

/* like: has the weight and backup flag for the host's addresses. */
static int add_host(struct lookup *l, struct sum *sum, const struct host *h, uint16_t port,
                    struct pool_answer like)
{
    int rc = 0;
    sum->unknown += host_is_known(h) ? 0 : 1;
    for (int f = 0; f < FAMILIES; f++)
        for (size_t i = 0; rc == 0 && i < h->part[f].cached.count; i++) {
            like.addr = answers_address(&h->part[f].cached, i, port);
            rc = lookup_add_address(l, sum, &like);
        }
    return rc;
}

static struct host *find_host(const struct lookup *l, const char *name)
{
    for (size_t i = 0; i < l->host_count; i++)
        if (strcmp(l->hosts[i].name, name) == 0)
            return &l->hosts[i];
    return NULL;
}

static int add_services(struct lookup *l, struct sum *sum)
{
    struct answers_scale scale;
    int rc = 0;
    const struct dns_answer *services = &l->services.cached;
    if (services->count == 0 && !l->hold.gone)
        sum->unknown++;
    answers_scale_init(&scale, services);
    for (size_t i = 0; rc == 0 && i < services->count; i++) {
        const struct dns_service *s = &services->record[i].srv;
        const struct host *h = find_host(l, s->target);
        struct pool_answer like = { 0 };
        answers_scale(&scale, s, &like);
        if (h != NULL)
            rc = add_host(l, sum, h, s->port, like);
    }
    return rc;
}

static void set_earliest(uint64_t *when, uint64_t other)
{
    if (other != 0 && (*when == 0 || other < *when))
        *when = other;
}

/* Sets when the next question is due and when the first held address is dropped. */
static void set_times(const struct lookup *l, struct lookup_result *result)
{
    if (l->setup.service) {
        set_earliest(&result->next, l->services.due);
        set_earliest(&result->held_until, lookup_hold_end(context_of(l), &l->hold));
    }
    for (size_t i = 0; i < l->host_count; i++) {
        const struct host *h = &l->hosts[i];
        for (int f = 0; f < FAMILIES; f++)
            set_earliest(&result->next, h->part[f].due);
        set_earliest(&result->held_until, lookup_hold_end(context_of(l), &h->hold));
    }
    set_earliest(&result->next, result->held_until);
}

static void lookup_finish(struct lookup *l, const struct sum *sum)
{
    struct lookup_result result = { .complete = sum->unknown == 0 };
    set_times(l, &result);
    result.all_held = result.held_until != 0 && (!l->setup.service || l->hold.empty_since != 0);
    if (sum->set.count > 0 || (sum->unknown == 0 && sum->refused == 0))
        result.answers = &sum->set;
    if (sum->set.count > 0 || sum->refused == 0)
        l->failed = 0;
    else
        set_earliest(&result.next, uv_now(context_of(l)->loop) +
                                       lookup_refresh_failed(&context_of(l)->refresh, &l->failed));
    result.error = l->error[0] != '\0' ? l->error : NULL;
    l->setup.done(l->setup.arg, &result);
}

/* Ends the round with an error and without addresses. */
static void lookup_fail(struct lookup *l, const char *error)
{
    const struct sum none = { .unknown = 1 };
    l->error[0] = '\0';
    note_error(l, "%s", error);
    lookup_finish(l, &none);
}

static void lookup_make_result(struct lookup *l)
{
    struct sum sum = { .refused = 0 };
    const struct pool_answer plain = { 0 };
    for (size_t i = 0; i < l->host_count; i++) {
        lookup_parts_settle(context_of(l), l->hosts[i].part, &l->hosts[i].hold);
        note_host_error(l, &l->hosts[i]);
    }
    int rc = l->setup.service ? add_services(l, &sum)
                              : add_host(l, &sum, &l->hosts[0], l->setup.port, plain);
    answers_sort_unique(&sum.set);
    if (rc < 0)
        lookup_fail(l, rc == -E2BIG ? "too many addresses" : "out of memory");
    else
        lookup_finish(l, &sum);
    answers_fini(&sum.set);
}

/* Counts a question as answered; the last one ends the round. */
static void lookup_end_question(struct lookup *l)
{
    if (--l->pending == 0)
        lookup_make_result(l);
}

static void host_on_reply(struct host *h, enum family f, const struct dns_reply *reply)
{
    h->part[f].question = NULL;
    lookup_part_set(context_of(h->lookup), &h->part[f], reply);
    lookup_end_question(h->lookup);
}

static void start_hosts(struct lookup *l)
{
    l->pending = 1; /* the round must not end before all are sent */
    for (size_t i = 0; i < l->host_count; i++)
        host_start(&l->hosts[i]);
    lookup_end_question(l);
}

/* ---- services ---- */

static void free_hosts(struct lookup *l)
{
    for (size_t i = 0; i < l->host_count; i++)
        host_fini(&l->hosts[i]);
    free(l->hosts);
    l->hosts = NULL;
    l->host_count = 0;
}

/* A host that stays keeps its answers. */
static void inherit(struct host *to, struct host *from)
{
    if (from == NULL)
        return;
    for (int f = 0; f < FAMILIES; f++) {
        to->part[f] = from->part[f];
        from->part[f].cached.record = NULL;
        from->part[f].cached.count = 0;
    }
    to->hold = from->hold;
}

/* Sets the hosts of the service to the targets of its records, each once. */
static int lookup_set_hosts(struct lookup *l)
{
    const struct dns_answer *services = &l->services.cached;
    struct lookup next = { .hosts = calloc(services->count + 1, sizeof *next.hosts) };
    if (next.hosts == NULL)
        return -ENOMEM;
    for (size_t i = 0; i < services->count; i++) {
        const char *target = services->record[i].srv.target;
        if (target[0] == '\0' || find_host(&next, target) != NULL)
            continue;
        struct host *h = &next.hosts[next.host_count];
        if (host_init(h, l, target) < 0) {
            free_hosts(&next);
            return -ENOMEM;
        }
        next.host_count++;
    }
    for (size_t i = 0; i < next.host_count; i++)
        inherit(&next.hosts[i], find_host(l, next.hosts[i].name));
    free_hosts(l);
    l->hosts = next.hosts;
    l->host_count = next.host_count;
    return 0;
}

/* Uses the additional records, so that these addresses need not be asked for. The hosts file has
 * precedence. */
static void take_extra(struct lookup *l, const struct dns_answer *services)
{
    for (size_t i = 0; i < l->host_count; i++) {
        struct host *h = &l->hosts[i];
        for (int f = 0; f < FAMILIES; f++) {
            struct dns_reply reply = { .outcome = DNS_ANSWERED };
            if (host_look_in_file(h))
                break;
            if (dns_answer_extra(services, h->name, type_of[f], &reply.answer) > 0)
                lookup_part_set(context_of(l), &h->part[f], &reply);
            dns_answer_free(&reply.answer);
        }
    }
}

/* Whether the only target is the root: the service does not exist (RFC 2782). */
static bool is_none(const struct dns_answer *services)
{
    return services->count == 1 && services->record[0].srv.target[0] == '\0';
}

static void services_are_none(struct lookup *l, const struct dns_reply *reply)
{
    const uint32_t negative = reply->answer.negative_ttl;
    bool root = reply->outcome == DNS_ANSWERED;
    uint32_t ttl = root ? reply->answer.ttl : negative != DNS_TTL_NONE ? negative : 0;
    l->services.due =
        uv_now(context_of(l)->loop) + lookup_refresh_empty(&context_of(l)->refresh, ttl);
    l->services.failed = 0;
    l->services.answered = true;
    l->services.outcome = DNS_EMPTY;
    l->services.error = root ? "the service does not exist, its target is ." : reply->error;
    if (l->hold.empty_since == 0)
        l->hold.empty_since = uv_now(context_of(l)->loop);
}

/* Drops the hosts of a service without records after resolve_hold. */
static void drop_services(struct lookup *l)
{
    if (!lookup_hold_is_over(context_of(l), &l->hold))
        return;
    dns_answer_free(&l->services.cached);
    free_hosts(l);
}

/* Goes on with the hosts of the last good answer. */
static void lookup_use_services(struct lookup *l)
{
    if (l->hold.empty_since != 0)
        drop_services(l);
    if (l->services.outcome != DNS_ANSWERED)
        note_error(l, "SRV: %s", l->services.error);
    else if (l->services.cached.bad_target_count > 0)
        note_error(l, "SRV: %s: not a host name", l->services.cached.bad_target);
    start_hosts(l);
}

static void on_services(void *arg, const struct dns_reply *reply)
{
    struct lookup *l = arg;
    l->services.question = NULL;
    if (reply->outcome == DNS_EMPTY ||
        (reply->outcome == DNS_ANSWERED && is_none(&reply->answer))) {
        services_are_none(l, reply);
    } else {
        lookup_part_set(context_of(l), &l->services, reply);
        if (l->services.outcome == DNS_ANSWERED) {
            l->hold = (struct lookup_hold){ .gone = false };
            if (lookup_set_hosts(l) < 0) {
                lookup_part_fail(context_of(l), &l->services, "out of memory");
            } else {
                take_extra(l, &reply->answer);
            }
        }
    }
    lookup_use_services(l);
}

static void ask_services(struct lookup *l)
{
    l->services.question = dns_ask(l->setup.context->dns, l->name, DNS_SRV, on_services, l);
    if (l->services.question != NULL)
        return;
    l->services.answered = true;
    lookup_part_fail(context_of(l), &l->services, "out of memory");
    lookup_use_services(l);
}

/* ---- new and free ---- */

struct lookup *lookup_new(const struct lookup_setup *setup)
{
    struct lookup *l = calloc(1, sizeof *l);
    if (l == NULL)
        return NULL;
    l->setup = *setup;
    l->name = strdup(setup->host);
    l->setup.host = l->name;
    bool made = l->name != NULL;
    if (made && !setup->service) {
        l->hosts = calloc(1, sizeof *l->hosts);
        l->host_count = l->hosts != NULL ? 1 : 0;
        made = l->hosts != NULL && host_init(l->hosts, l, l->name) == 0;
    }
    if (made)
        return l;
    lookup_free(l);
    return NULL;
}

void lookup_free(struct lookup *l)
{
    if (l == NULL)
        return;
    lookup_part_cancel(&l->services);
    free_hosts(l);
    dns_answer_free(&l->services.cached);
    free(l->name);
    free(l);
}

void lookup_start(struct lookup *l)
{
    l->error[0] = '\0';
    for (size_t i = 0; i < l->host_count; i++)
        for (int f = 0; f < FAMILIES; f++)
            l->hosts[i].part[f].fresh = false;
    if (!l->setup.service)
        start_hosts(l);
    else if (lookup_part_is_due(context_of(l), &l->services))
        ask_services(l);
    else
        lookup_use_services(l);
}

void lookup_stop(struct lookup *l)
{
    lookup_part_cancel(&l->services);
    for (size_t i = 0; i < l->host_count; i++)
        for (int f = 0; f < FAMILIES; f++)
            lookup_part_cancel(&l->hosts[i].part[f]);
}

void lookup_expire(struct lookup *l)
{
    l->services.due = 1; /* 0 means never */
    for (size_t i = 0; i < l->host_count; i++)
        for (int f = 0; f < FAMILIES; f++)
            l->hosts[i].part[f].due = 1;
}
