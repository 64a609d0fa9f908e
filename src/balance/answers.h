/* The addresses that a name comes to: those that can be a server's, each once, in an order that
 * is not the name server's (they turn theirs with every answer). No sockets, no clock.
 */
#ifndef ZPROXY_BALANCE_ANSWERS_H
#define ZPROXY_BALANCE_ANSWERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "balance/dns_answer.h"
#include "balance/server_list.h"
#include "base/addr.h"

#define ANSWERS_MAX 1024 /* addresses of one name; more are a mistake */

struct answers {
    struct pool_answer *list;
    size_t count;
    size_t room;
};

/* {0} is an empty set. Returns 0, -E2BIG beyond ANSWERS_MAX, or -ENOMEM. */
int answers_add(struct answers *s, const struct pool_answer *one);
/* Sorts the set and drops what is in it twice; of two with the same address the one that is no
 * backup stays, of these the heavier. */
void answers_sort_unique(struct answers *s);
/* Of settled sets. */
bool answers_equal(const struct answers *a, const struct answers *b);
void answers_fini(struct answers *s);

/* Why no server can be at this address and port: static text, or NULL if it can. */
const char *answers_why_unusable(const struct addr *a);

/* An address of a record, an IPv4 one in the clothes of IPv6 as what it is. port in host order. */
struct addr answers_address(const struct dns_answer *a, size_t i, uint16_t port);

/* Priorities and weights of the SRV records of one answer to what zproxy has. */
struct answers_scale {
    uint16_t regular;     /* the lowest priority: the servers in regular use; others are backups */
    uint16_t heaviest[2]; /* the largest weight among them; among the backups */
};

void answers_scale_init(struct answers_scale *s, const struct dns_answer *srv);
/* out->weight: 1..256 in proportion to the record's among those of its kind, unchanged where none
 * is beyond 256; 0, "as the server line says", where all of them have none. Sets out->backup. */
void answers_scale(const struct answers_scale *s, const struct dns_service *srv,
                   struct pool_answer *out);

#endif
