#include "balance/answers.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define WEIGHT_MAX 256u

int answers_add(struct answers *s, const struct pool_answer *one)
{
    if (s->count == ANSWERS_MAX)
        return -E2BIG;
    if (s->count == s->room) {
        size_t room = s->room == 0 ? 4 : 2 * s->room;
        struct pool_answer *list = realloc(s->list, room * sizeof *list);
        if (list == NULL)
            return -ENOMEM;
        s->list = list;
        s->room = room;
    }
    s->list[s->count++] = *one;
    return 0;
}

static int answers_compare(const void *left, const void *right)
{
    const struct pool_answer *a = left;
    const struct pool_answer *b = right;
    int order = addr_compare(&a->addr, &b->addr);
    if (order != 0)
        return order;
    if (a->backup != b->backup)
        return a->backup ? 1 : -1;
    return (a->weight < b->weight) - (a->weight > b->weight);
}

void answers_sort_unique(struct answers *s)
{
    size_t kept = 0;
    if (s->count > 0)
        qsort(s->list, s->count, sizeof *s->list, answers_compare);
    for (size_t i = 0; i < s->count; i++)
        if (kept == 0 || !addr_equal(&s->list[kept - 1].addr, &s->list[i].addr))
            s->list[kept++] = s->list[i];
    s->count = kept;
}

bool answers_equal(const struct answers *a, const struct answers *b)
{
    if (a->count != b->count)
        return false;
    for (size_t i = 0; i < a->count; i++)
        if (answers_compare(&a->list[i], &b->list[i]) != 0)
            return false;
    return true;
}

void answers_fini(struct answers *s)
{
    free(s->list);
    *s = (struct answers){ .list = NULL };
}

/* ---- addresses ---- */

static const char *why_ipv4_unusable(struct in_addr ip)
{
    uint32_t host = ntohl(ip.s_addr);
    if (host >> 24 == 0) /* "this network": RFC 1122, 3.2.1.3 */
        return "unspecified address";
    if (IN_MULTICAST(host))
        return "multicast address";
    return host == INADDR_BROADCAST ? "broadcast address" : NULL;
}

static const char *why_ipv6_unusable(const struct in6_addr *ip)
{
    if (IN6_IS_ADDR_UNSPECIFIED(ip))
        return "unspecified address";
    if (IN6_IS_ADDR_MULTICAST(ip))
        return "multicast address";
    return IN6_IS_ADDR_LINKLOCAL(ip) ? "link-local address without an interface" : NULL;
}

const char *answers_why_unusable(const struct addr *a)
{
    if (addr_port(a) == 0)
        return "port 0";
    return a->sa.sa_family == AF_INET ? why_ipv4_unusable(a->in.sin_addr)
                                      : why_ipv6_unusable(&a->in6.sin6_addr);
}

static struct addr address_in(struct in_addr ip, uint16_t port)
{
    struct addr a = { .len = sizeof a.in };
    a.in = (struct sockaddr_in){ .sin_family = AF_INET, .sin_port = htons(port), .sin_addr = ip };
    return a;
}

struct addr answers_address(const struct dns_answer *answer, size_t i, uint16_t port)
{
    const union dns_record *record = &answer->record[i];
    struct addr a = { .len = sizeof a.in6 };
    struct in_addr mapped;
    if (answer->type == DNS_A)
        return address_in(record->a, port);
    if (IN6_IS_ADDR_V4MAPPED(&record->aaaa)) {
        memcpy(&mapped, &record->aaaa.s6_addr[12], sizeof mapped);
        return address_in(mapped, port);
    }
    a.in6 = (struct sockaddr_in6){ .sin6_family = AF_INET6,
                                   .sin6_port = htons(port),
                                   .sin6_addr = record->aaaa };
    return a;
}

/* ---- SRV ---- */

void answers_scale_init(struct answers_scale *s, const struct dns_answer *answer)
{
    *s = (struct answers_scale){ .regular = UINT16_MAX };
    for (size_t i = 0; i < answer->count; i++)
        if (answer->record[i].srv.priority < s->regular)
            s->regular = answer->record[i].srv.priority;
    for (size_t i = 0; i < answer->count; i++) {
        const struct dns_service *srv = &answer->record[i].srv;
        uint16_t *heaviest = &s->heaviest[srv->priority != s->regular];
        if (srv->weight > *heaviest)
            *heaviest = srv->weight;
    }
}

void answers_scale(const struct answers_scale *s, const struct dns_service *srv,
                   struct pool_answer *out)
{
    out->backup = srv->priority != s->regular;
    unsigned heaviest = s->heaviest[out->backup];
    unsigned weight = srv->weight;
    if (heaviest > WEIGHT_MAX)
        weight = (weight * WEIGHT_MAX + heaviest / 2) / heaviest;
    out->weight = weight == 0 && heaviest > 0 ? 1 : weight;
}
