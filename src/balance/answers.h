/* The addresses of a name: those that a server can have, each once and sorted, since name servers
 * rotate the order of their answers. Pure functions.
 */
#ifndef ZPROXY_BALANCE_ANSWERS_H
#define ZPROXY_BALANCE_ANSWERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "balance/dns_answer.h"
#include "balance/server_list.h"
#include "base/addr.h"

#define ANSWERS_MAX 1024 /* addresses of one name; more are an error */

struct answers {
    struct pool_answer *list;
    size_t count;
    size_t room;
};

/* Adds an address to the set; {0} is an empty set. Returns 0, -E2BIG beyond ANSWERS_MAX, or
 * -ENOMEM.
 */
int answers_add(struct answers *s, const struct pool_answer *one);
/* Sorts the set and removes duplicates. Of two entries with the same address a regular one is kept
 * rather than a backup, then the one with the greater weight. */
void answers_sort_unique(struct answers *s);
/* Both sets must be sorted by answers_sort_unique(). */
bool answers_equal(const struct answers *a, const struct answers *b);
void answers_fini(struct answers *s);

/* Why no server can have this address and port, as static text; NULL: a server can have it. */
const char *answers_why_unusable(const struct addr *a);

/* The address in a record; an IPv4-mapped IPv6 address as an IPv4 one. port in host byte order. */
struct addr answers_address(const struct dns_answer *a, size_t i, uint16_t port);

/* Converts priorities and weights of the SRV records of one answer to backups and weights. */
struct answers_scale {
    uint16_t regular;     /* the lowest priority: regular servers; others are backups */
    uint16_t heaviest[2]; /* the largest weight of regular servers, of backups */
};

void answers_scale_init(struct answers_scale *s, const struct dns_answer *srv);
/* Sets out->backup and out->weight: 1..256 in proportion to the weights of regular servers or of
 * backups, unchanged if none is above 256; 0, the weight of the server line, if all are 0. */
void answers_scale(const struct answers_scale *s, const struct dns_service *srv,
                   struct pool_answer *out);

#endif
