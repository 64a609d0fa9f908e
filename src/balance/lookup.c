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
    FAMILIES,
};

static const enum dns_type type_of[FAMILIES] = { DNS_A, DNS_AAAA };
static const char *const word_of[FAMILIES] = { "A", "AAAA" };

/* One question, and what is known of its answer. */
struct part {
    struct dns_question *question; /* NULL: not on its way */
    struct dns_answer kept;        /* the last good records */
    enum dns_outcome outcome;      /* of the last answer */
    const char *error;
    bool answered;         /* or failed, at all */
    bool fresh;            /* in this round */
    uint32_t negative_ttl; /* of the last answer, if it said that there is nothing */
    uint64_t due;          /* when it is asked again; ms of the loop */
    uint64_t failed;       /* the last wait after a failure */
};

/* One host and its addresses by family. */
struct host {
    struct lookup *lookup;
    char *name;
    struct part part[FAMILIES];
    uint64_t empty_since; /* it has no address; 0: that was not said */
    bool gone;            /* for so long that it has none for us either */
};

struct lookup {
    struct lookup_setup setup;
    char *name;
    struct host *hosts; /* the one of that name, or those of the service */
    size_t host_count;
    struct part services;
    uint64_t empty_since; /* of a service */
    bool gone;
    uint64_t failed; /* the last wait after answers that were of no use */
    size_t pending;  /* hosts' questions on their way, and one while they are asked */
    char error[LOOKUP_ERROR_MAX];
};

static uint64_t now_of(const struct lookup *l)
{
    return uv_now(l->setup.context->loop);
}

static const struct refresh *refresh_of(const struct lookup *l)
{
    return &l->setup.context->refresh;
}

/* ---- one question ---- */

static void drop_kept(struct part *p)
{
    dns_answer_free(&p->kept);
}

static void part_forget(struct part *p)
{
    if (p->question != NULL)
        dns_forget(p->question);
    p->question = NULL;
}

static void note_failure(const struct lookup *l, struct part *p, const char *error)
{
    p->outcome = DNS_FAILED;
    p->error = error;
    p->due = now_of(l) + refresh_failed(refresh_of(l), &p->failed);
}

/* Takes an answer in. What it says there is not is dropped later: others may hold it. */
static void part_set(const struct lookup *l, struct part *p, const struct dns_reply *reply)
{
    struct dns_answer copy = { .count = 0 };
    p->answered = true;
    p->fresh = true;
    if (reply->outcome == DNS_FAILED) {
        note_failure(l, p, reply->error);
        return;
    }
    if (reply->outcome == DNS_ANSWERED && dns_answer_copy(&copy, &reply->answer) < 0) {
        note_failure(l, p, "out of memory");
        return;
    }
    p->outcome = reply->outcome;
    p->error = reply->error;
    p->failed = 0;
    p->negative_ttl = reply->answer.negative_ttl;
    if (reply->outcome == DNS_EMPTY)
        return;
    drop_kept(p);
    p->kept = copy;
    p->due = now_of(l) + refresh_answered(refresh_of(l), copy.ttl);
}

static bool is_due(const struct lookup *l, const struct part *p)
{
    return !p->answered || p->due <= now_of(l);
}

/* ---- hosts ---- */

static int host_init(struct host *h, struct lookup *l, const char *name)
{
    *h = (struct host){ .lookup = l, .name = strdup(name) };
    for (int f = 0; f < FAMILIES; f++)
        h->part[f].kept.type = type_of[f];
    return h->name == NULL ? -ENOMEM : 0;
}

static void host_fini(struct host *h)
{
    for (int f = 0; f < FAMILIES; f++) {
        part_forget(&h->part[f]);
        drop_kept(&h->part[f]);
    }
    free(h->name);
}

static void host_has_come(struct host *h, enum family f, const struct dns_reply *reply);

static void on_in(void *arg, const struct dns_reply *reply)
{
    host_has_come(arg, FAMILY_IN, reply);
}

static void on_in6(void *arg, const struct dns_reply *reply)
{
    host_has_come(arg, FAMILY_IN6, reply);
}

static void host_ask(struct host *h, enum family f)
{
    static const struct dns_reply none = { .outcome = DNS_FAILED, .error = "out of memory" };
    struct lookup *l = h->lookup;
    h->part[f].question =
        dns_ask(l->setup.context->dns, h->name, type_of[f], f == FAMILY_IN ? on_in : on_in6, h);
    if (h->part[f].question == NULL)
        part_set(l, &h->part[f], &none);
    else
        l->pending++;
}

/* An address of the hosts file, as if it had been a record. */
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
        part_set(h->lookup, &h->part[f], &replies[f]);
        dns_answer_free(a);
    }
    return true;
}

static void host_start(struct host *h)
{
    const struct lookup *l = h->lookup;
    if (!is_due(l, &h->part[FAMILY_IN]) && !is_due(l, &h->part[FAMILY_IN6]))
        return;
    if (host_look_in_file(h))
        return;
    for (int f = 0; f < FAMILIES; f++)
        if (is_due(l, &h->part[f]))
            host_ask(h, (enum family)f);
}

/* When what is held goes; 0: nothing is. */
static uint64_t hold_end(const struct lookup *l, uint64_t empty_since, bool gone)
{
    uint64_t hold = refresh_of(l)->hold;
    return empty_since == 0 || gone || hold == 0 ? 0 : empty_since + hold;
}

static bool is_over(const struct lookup *l, uint64_t empty_since, bool gone)
{
    uint64_t end = hold_end(l, empty_since, gone);
    return gone || (end != 0 && end <= now_of(l));
}

/* One family without records beside another that has some: nothing is missing, and nothing is held.
 */
static void settle_missing(const struct lookup *l, struct part *p, const struct part *other)
{
    drop_kept(p);
    if (!p->fresh)
        return;
    p->due = p->negative_ttl != DNS_TTL_NONE
                 ? now_of(l) + refresh_answered(refresh_of(l), p->negative_ttl)
                 : other->due;
}

/* No family has records: they are held for a time, and the question is asked again soon. */
static void settle_empty(const struct lookup *l, struct host *h)
{
    if (h->empty_since == 0)
        h->empty_since = now_of(l);
    h->gone = is_over(l, h->empty_since, h->gone);
    for (int f = 0; f < FAMILIES; f++) {
        struct part *p = &h->part[f];
        uint32_t ttl = p->negative_ttl != DNS_TTL_NONE ? p->negative_ttl : 0;
        if (p->fresh && p->outcome == DNS_EMPTY)
            p->due = now_of(l) + refresh_empty(refresh_of(l), ttl);
        if (h->gone)
            drop_kept(p);
    }
}

/* What an answer without records means depends on the other family's. A failure neither begins what
 * holds addresses nor ends it. */
static void host_settle(struct host *h)
{
    const struct lookup *l = h->lookup;
    bool has_some = false; /* a family has records */
    bool may_have = false; /* or had some when it last could be asked */
    bool is_empty = h->empty_since != 0;
    for (int f = 0; f < FAMILIES; f++) {
        const struct part *p = &h->part[f];
        has_some = has_some || (p->outcome == DNS_ANSWERED && p->kept.count > 0);
        may_have = may_have || (p->outcome == DNS_FAILED && p->kept.count > 0);
        is_empty = is_empty || (p->answered && p->outcome == DNS_EMPTY);
    }
    if (has_some) {
        h->empty_since = 0;
        h->gone = false;
    } else if (is_empty && (h->empty_since != 0 || !may_have)) {
        settle_empty(l, h);
        return;
    }
    for (int f = 0; f < FAMILIES; f++)
        if (h->part[f].answered && h->part[f].outcome == DNS_EMPTY)
            settle_missing(l, &h->part[f], &h->part[FAMILY_IN6 - f]);
}

static bool host_is_known(const struct host *h)
{
    return h->gone || h->part[FAMILY_IN].kept.count + h->part[FAMILY_IN6].kept.count > 0;
}

/* ---- what went wrong ---- */

/* The first thing that went wrong is told. what: the host or address that it went wrong with. */
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

/* With either family, or that there is no address at all; only what is told by name for a service.
 */
static void note_host_error(struct lookup *l, const struct host *h)
{
    const struct part *in = &h->part[FAMILY_IN];
    const struct part *in6 = &h->part[FAMILY_IN6];
    const char *name = l->setup.service ? h->name : "";
    const char *colon = l->setup.service ? ": " : "";
    bool empty = in->outcome == DNS_EMPTY && in6->outcome == DNS_EMPTY;
    bool both = in->outcome == DNS_FAILED && in6->outcome == DNS_FAILED;
    if ((empty || both) && in->error == in6->error) {
        note_error(l, "%s%sA, AAAA: %s", name, colon, in->error);
    } else if (empty || both) {
        note_error(l, "%s%sA: %s; AAAA: %s", name, colon, in->error, in6->error);
    } else {
        for (int f = 0; f < FAMILIES; f++)
            if (h->part[f].outcome == DNS_FAILED)
                note_error(l, "%s%s%s: %s", name, colon, word_of[f], h->part[f].error);
    }
}

/* ---- the end of a round ---- */

/* What a round has come to, while it is put together. */
struct sum {
    struct answers set;
    size_t refused; /* addresses that no server can have */
    size_t unknown; /* hosts that there was never an answer for */
};

static int add_address(struct lookup *l, struct sum *sum, const struct pool_answer *one)
{
    char text[ADDR_TEXT_MAX];
    const char *objection = answers_objection(&one->addr);
    if (objection == NULL && !l->setup.usable(l->setup.arg, &one->addr))
        objection = "zproxy itself listens there";
    if (objection == NULL)
        return answers_add(&sum->set, one);
    note_error(l, "%s: %s", addr_print(&one->addr, text), objection);
    sum->refused++;
    return 0;
}

/* like: weight and backup of the host's addresses. */
static int add_host(struct lookup *l, struct sum *sum, const struct host *h, uint16_t port,
                    struct pool_answer like)
{
    int rc = 0;
    sum->unknown += host_is_known(h) ? 0 : 1;
    for (int f = 0; f < FAMILIES; f++)
        for (size_t i = 0; rc == 0 && i < h->part[f].kept.count; i++) {
            like.addr = answers_address(&h->part[f].kept, i, port);
            rc = add_address(l, sum, &like);
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
    const struct dns_answer *services = &l->services.kept;
    if (services->count == 0 && !l->gone)
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

static void earliest(uint64_t *when, uint64_t other)
{
    if (other != 0 && (*when == 0 || other < *when))
        *when = other;
}

/* When the first question is to be asked again, and when the first address goes. */
static void set_times(const struct lookup *l, struct lookup_result *result)
{
    if (l->setup.service) {
        earliest(&result->next, l->services.due);
        earliest(&result->held_until, hold_end(l, l->empty_since, l->gone));
    }
    for (size_t i = 0; i < l->host_count; i++) {
        const struct host *h = &l->hosts[i];
        for (int f = 0; f < FAMILIES; f++)
            earliest(&result->next, h->part[f].due);
        earliest(&result->held_until, hold_end(l, h->empty_since, h->gone));
    }
    earliest(&result->next, result->held_until);
}

static void finish(struct lookup *l, const struct sum *sum)
{
    struct lookup_result result = { .complete = sum->unknown == 0 };
    set_times(l, &result);
    result.all_held = result.held_until != 0 && (!l->setup.service || l->empty_since != 0);
    if (sum->set.count > 0 || (sum->unknown == 0 && sum->refused == 0))
        result.answers = &sum->set;
    if (sum->set.count > 0 || sum->refused == 0)
        l->failed = 0;
    else
        earliest(&result.next, now_of(l) + refresh_failed(refresh_of(l), &l->failed));
    result.error = l->error[0] != '\0' ? l->error : NULL;
    l->setup.done(l->setup.arg, &result);
}

/* Nothing can be made of what is known. */
static void fail(struct lookup *l, const char *error)
{
    const struct sum none = { .unknown = 1 };
    l->error[0] = '\0';
    note_error(l, "%s", error);
    finish(l, &none);
}

static void compose(struct lookup *l)
{
    struct sum sum = { .refused = 0 };
    const struct pool_answer plain = { 0 };
    for (size_t i = 0; i < l->host_count; i++) {
        host_settle(&l->hosts[i]);
        note_host_error(l, &l->hosts[i]);
    }
    int rc = l->setup.service ? add_services(l, &sum)
                              : add_host(l, &sum, &l->hosts[0], l->setup.port, plain);
    answers_settle(&sum.set);
    if (rc < 0)
        fail(l, rc == -E2BIG ? "more addresses than can be servers" : "out of memory");
    else
        finish(l, &sum);
    answers_fini(&sum.set);
}

/* Gives back the place that a question had; the last one ends the round. */
static void settle_one(struct lookup *l)
{
    if (--l->pending == 0)
        compose(l);
}

static void host_has_come(struct host *h, enum family f, const struct dns_reply *reply)
{
    h->part[f].question = NULL;
    part_set(h->lookup, &h->part[f], reply);
    settle_one(h->lookup);
}

static void start_hosts(struct lookup *l)
{
    l->pending = 1; /* so that it ends only when all were asked */
    for (size_t i = 0; i < l->host_count; i++)
        host_start(&l->hosts[i]);
    settle_one(l);
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

/* What was known of a host that stays is not lost. */
static void inherit(struct host *to, struct host *from)
{
    if (from == NULL)
        return;
    for (int f = 0; f < FAMILIES; f++) {
        to->part[f] = from->part[f];
        from->part[f].kept.record = NULL;
        from->part[f].kept.count = 0;
    }
    to->empty_since = from->empty_since;
    to->gone = from->gone;
}

/* Makes the hosts of the service those that its records name, each once. */
static int take_targets(struct lookup *l)
{
    const struct dns_answer *services = &l->services.kept;
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

/* Addresses that came with the services need not be asked for. The hosts file is before them. */
static void take_extra(struct lookup *l, const struct dns_answer *services)
{
    for (size_t i = 0; i < l->host_count; i++) {
        struct host *h = &l->hosts[i];
        for (int f = 0; f < FAMILIES; f++) {
            struct dns_reply reply = { .outcome = DNS_ANSWERED };
            if (host_look_in_file(h))
                break;
            if (dns_answer_extra(services, h->name, type_of[f], &reply.answer) > 0)
                part_set(l, &h->part[f], &reply);
            dns_answer_free(&reply.answer);
        }
    }
}

/* Whether the service is said not to exist: its only target is the root. */
static bool is_none(const struct dns_answer *services)
{
    return services->count == 1 && services->record[0].srv.target[0] == '\0';
}

static void services_are_none(struct lookup *l, const struct dns_reply *reply)
{
    const uint32_t negative = reply->answer.negative_ttl;
    bool root = reply->outcome == DNS_ANSWERED;
    uint32_t ttl = root ? reply->answer.ttl : negative != DNS_TTL_NONE ? negative : 0;
    l->services.due = now_of(l) + refresh_empty(refresh_of(l), ttl);
    l->services.failed = 0;
    l->services.answered = true;
    l->services.outcome = DNS_EMPTY;
    l->services.error = root ? "the service is said not to exist" : reply->error;
    if (l->empty_since == 0)
        l->empty_since = now_of(l);
}

/* Of a service that has been without hosts for long enough none is left. */
static void drop_services(struct lookup *l)
{
    l->gone = is_over(l, l->empty_since, l->gone);
    if (!l->gone)
        return;
    drop_kept(&l->services);
    free_hosts(l);
}

/* Goes on with the hosts, whatever is known of the services. */
static void have_services(struct lookup *l)
{
    if (l->empty_since != 0)
        drop_services(l);
    if (l->services.outcome != DNS_ANSWERED)
        note_error(l, "SRV: %s", l->services.error);
    else if (l->services.kept.odd_count > 0)
        note_error(l, "SRV: %s: not the name of a host", l->services.kept.odd);
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
        part_set(l, &l->services, reply);
        if (l->services.outcome == DNS_ANSWERED) {
            l->empty_since = 0;
            l->gone = false;
            if (take_targets(l) < 0) {
                note_failure(l, &l->services, "out of memory");
            } else {
                take_extra(l, &reply->answer);
            }
        }
    }
    have_services(l);
}

static void ask_services(struct lookup *l)
{
    l->services.question = dns_ask(l->setup.context->dns, l->name, DNS_SRV, on_services, l);
    if (l->services.question != NULL)
        return;
    l->services.answered = true;
    note_failure(l, &l->services, "out of memory");
    have_services(l);
}

/* ---- the whole ---- */

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
    part_forget(&l->services);
    free_hosts(l);
    drop_kept(&l->services);
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
    else if (is_due(l, &l->services))
        ask_services(l);
    else
        have_services(l);
}

void lookup_stop(struct lookup *l)
{
    part_forget(&l->services);
    for (size_t i = 0; i < l->host_count; i++)
        for (int f = 0; f < FAMILIES; f++)
            part_forget(&l->hosts[i].part[f]);
}

void lookup_expire(struct lookup *l)
{
    l->services.due = 1; /* 0 would be never */
    for (size_t i = 0; i < l->host_count; i++)
        for (int f = 0; f < FAMILIES; f++)
            l->hosts[i].part[f].due = 1;
}
