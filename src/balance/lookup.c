#include "balance/lookup.h"

#include <errno.h>
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

/* One host and its addresses by family. */
struct host {
    struct lookup *lookup;
    char *name;
    struct dns_answer kept[FAMILIES]; /* the last good ones */
    enum dns_outcome outcome[FAMILIES];
    const char *error[FAMILIES];
    struct dns_question *question[FAMILIES]; /* NULL: not on its way */
};

struct lookup {
    struct lookup_setup setup;
    char *name;
    struct dns *dns;    /* of this round */
    struct host *hosts; /* the one of that name, or those of the service */
    size_t host_count;
    struct dns_answer services;
    struct dns_question *question; /* for the services */
    size_t pending;                /* hosts' questions on their way, and one while they are asked */
    char error[DNS_NAME_MAX + 128];
};

/* ---- hosts ---- */

static int host_init(struct host *h, struct lookup *l, const char *name)
{
    *h = (struct host){ .lookup = l, .name = strdup(name) };
    for (int f = 0; f < FAMILIES; f++)
        h->kept[f].type = type_of[f];
    return h->name == NULL ? -ENOMEM : 0;
}

static void host_fini(struct host *h)
{
    for (int f = 0; f < FAMILIES; f++)
        dns_answer_free(&h->kept[f]);
    free(h->name);
}

static void host_forget_questions(struct host *h)
{
    for (int f = 0; f < FAMILIES; f++) {
        if (h->question[f] != NULL)
            dns_forget(h->question[f]);
        h->question[f] = NULL;
    }
}

static void host_set(struct host *h, enum family f, struct dns_reply *reply)
{
    h->outcome[f] = reply->outcome;
    h->error[f] = reply->error;
    if (reply->outcome == DNS_FAILED)
        return; /* what was known stays */
    dns_answer_free(&h->kept[f]);
    if (reply->outcome == DNS_ANSWERED) {
        h->kept[f] = reply->answer;
        reply->answer.record = NULL;
        reply->answer.count = 0;
    }
}

static void host_has_come(struct host *h, enum family f, struct dns_reply *reply);

static void on_in(void *arg, struct dns_reply *reply)
{
    host_has_come(arg, FAMILY_IN, reply);
}

static void on_in6(void *arg, struct dns_reply *reply)
{
    host_has_come(arg, FAMILY_IN6, reply);
}

static void host_ask(struct host *h, enum family f)
{
    h->question[f] =
        dns_ask(h->lookup->dns, h->name, type_of[f], f == FAMILY_IN ? on_in : on_in6, h);
    if (h->question[f] == NULL) {
        h->outcome[f] = DNS_FAILED;
        h->error[f] = "out of memory";
        return;
    }
    h->lookup->pending++;
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
    dns_look_in_hosts(h->lookup->dns, h->name, on_found_in_hosts, replies);
    if (replies[FAMILY_IN].answer.count + replies[FAMILY_IN6].answer.count == 0)
        return false;
    for (int f = 0; f < FAMILIES; f++) {
        struct dns_answer *a = &replies[f].answer;
        a->type = type_of[f];
        a->ttl = HOSTS_TTL;
        replies[f].outcome = a->count > 0 ? DNS_ANSWERED : DNS_EMPTY;
        host_set(h, (enum family)f, &replies[f]);
    }
    return true;
}

static void host_start(struct host *h)
{
    if (host_look_in_file(h))
        return;
    for (int f = 0; f < FAMILIES; f++)
        host_ask(h, (enum family)f);
}

/* What went wrong with a host: with either family; or that it has no address at all. */
static const char *host_error(const struct host *h)
{
    for (int f = 0; f < FAMILIES; f++)
        if (h->outcome[f] == DNS_FAILED)
            return h->error[f];
    bool empty = h->outcome[FAMILY_IN] == DNS_EMPTY && h->outcome[FAMILY_IN6] == DNS_EMPTY;
    return empty ? h->error[FAMILY_IN] : NULL;
}

/* ---- the end of a round ---- */

/* The first thing that went wrong is told. what: the host or address that it went wrong with. */
static void note_error(struct lookup *l, const char *what, const char *error)
{
    if (l->error[0] != '\0')
        return;
    if (what != NULL)
        snprintf(l->error, sizeof l->error, "%s: %s", what, error);
    else
        snprintf(l->error, sizeof l->error, "%s", error);
}

static void note_host_error(struct lookup *l, const struct host *h)
{
    const char *error = host_error(h);
    if (error != NULL)
        note_error(l, l->setup.service ? h->name : NULL, error);
}

static int add_address(struct lookup *l, struct answers *set, const struct pool_answer *one)
{
    char text[ADDR_TEXT_MAX];
    const char *objection = answers_objection(&one->addr);
    if (objection == NULL && !l->setup.usable(l->setup.arg, &one->addr))
        objection = "zproxy itself listens there";
    if (objection == NULL)
        return answers_add(set, one);
    note_error(l, addr_print(&one->addr, text), objection);
    return 0;
}

/* like: weight and backup of the host's addresses. */
static int add_host(struct lookup *l, struct answers *set, const struct host *h, uint16_t port,
                    struct pool_answer like)
{
    int rc = 0;
    for (int f = 0; f < FAMILIES; f++)
        for (size_t i = 0; rc == 0 && i < h->kept[f].count; i++) {
            like.addr = answers_address(&h->kept[f], i, port);
            rc = add_address(l, set, &like);
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

static int add_services(struct lookup *l, struct answers *set)
{
    struct answers_scale scale;
    int rc = 0;
    answers_scale_init(&scale, &l->services);
    for (size_t i = 0; rc == 0 && i < l->services.count; i++) {
        const struct dns_service *s = &l->services.record[i].srv;
        const struct host *h = find_host(l, s->target);
        struct pool_answer like = { 0 };
        answers_scale(&scale, s, &like);
        if (h != NULL)
            rc = add_host(l, set, h, s->port, like);
        else
            note_error(l, NULL, "the service is said not to exist");
    }
    return rc;
}

static uint32_t least_ttl(const struct lookup *l)
{
    uint32_t least = l->setup.service ? l->services.ttl : LOOKUP_TTL_NONE;
    for (size_t i = 0; i < l->host_count; i++)
        for (int f = 0; f < FAMILIES; f++) {
            const struct host *h = &l->hosts[i];
            if (h->outcome[f] == DNS_ANSWERED && h->kept[f].ttl < least)
                least = h->kept[f].ttl;
        }
    return least;
}

static void finish(struct lookup *l, const struct answers *set)
{
    const struct lookup_result result = {
        .answers = set,
        .ttl = set->count > 0 ? least_ttl(l) : LOOKUP_TTL_NONE,
        .error = l->error[0] != '\0' ? l->error : NULL,
    };
    l->setup.done(l->setup.arg, &result);
}

static void fail(struct lookup *l, const char *error)
{
    const struct answers none = { .count = 0 };
    l->error[0] = '\0';
    note_error(l, NULL, error);
    finish(l, &none);
}

static void compose(struct lookup *l)
{
    struct answers set = { .count = 0 };
    const struct pool_answer plain = { 0 };
    for (size_t i = 0; i < l->host_count; i++)
        note_host_error(l, &l->hosts[i]);
    int rc = l->setup.service ? add_services(l, &set)
                              : add_host(l, &set, &l->hosts[0], l->setup.port, plain);
    answers_settle(&set);
    if (rc < 0)
        fail(l, rc == -E2BIG ? "more addresses than can be servers" : "out of memory");
    else
        finish(l, &set);
    answers_fini(&set);
}

/* Gives back the place that a question had; the last one ends the round. */
static void settle_one(struct lookup *l)
{
    if (--l->pending == 0)
        compose(l);
}

static void host_has_come(struct host *h, enum family f, struct dns_reply *reply)
{
    h->question[f] = NULL;
    host_set(h, f, reply);
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
    for (int f = 0; from != NULL && f < FAMILIES; f++) {
        to->kept[f] = from->kept[f];
        from->kept[f].record = NULL;
        from->kept[f].count = 0;
    }
}

/* Makes the hosts of the service those that its records name, each once. */
static int take_targets(struct lookup *l)
{
    struct lookup next = { .hosts = calloc(l->services.count, sizeof *next.hosts) };
    if (next.hosts == NULL)
        return -ENOMEM;
    for (size_t i = 0; i < l->services.count; i++) {
        const char *target = l->services.record[i].srv.target;
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

static void on_services(void *arg, struct dns_reply *reply)
{
    struct lookup *l = arg;
    l->question = NULL;
    if (reply->outcome != DNS_ANSWERED) {
        fail(l, reply->error);
        return;
    }
    dns_answer_free(&l->services);
    l->services = reply->answer;
    reply->answer.record = NULL;
    reply->answer.count = 0;
    if (take_targets(l) < 0)
        fail(l, "out of memory");
    else
        start_hosts(l);
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
    lookup_stop(l);
    free_hosts(l);
    dns_answer_free(&l->services);
    free(l->name);
    free(l);
}

void lookup_start(struct lookup *l, struct dns *dns)
{
    l->dns = dns;
    l->error[0] = '\0';
    if (!l->setup.service) {
        start_hosts(l);
        return;
    }
    l->question = dns_ask(dns, l->name, DNS_SRV, on_services, l);
    if (l->question == NULL)
        fail(l, "out of memory");
}

void lookup_stop(struct lookup *l)
{
    if (l->question != NULL)
        dns_forget(l->question);
    l->question = NULL;
    for (size_t i = 0; i < l->host_count; i++)
        host_forget_questions(&l->hosts[i]);
}
