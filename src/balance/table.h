/* Fingerprints of which client goes to which server, by which an operator sees whether several
 * machines agree: equal fingerprints, equal choice. They depend on names, addresses and settings
 * alone: neither on the order in which servers came, nor on the process, the build, or the byte
 * order of the machine. */
#ifndef ZPROXY_BALANCE_TABLE_H
#define ZPROXY_BALANCE_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "balance/server.h"
#include "config/config.h"

struct server_member {
    struct server *server;
    bool backup;
};

struct table {
    uint64_t all;     /* of all servers, also those that are down */
    uint64_t missing; /* of the servers that are down or not in state ready; 0: there are none */
};

/* Balance "first": the addresses and limits of the servers in their order. Otherwise their
 * addresses and the proportions of their weights in any order, of regular servers and of backups;
 * with balance "hash", whose lookup table table_add_digest() adds, also their names. For the
 * control thread. */
struct table table_of(const struct config_pool *conf, const struct server_member *member,
                      size_t count);
void table_add_digest(struct table *t, uint64_t digest);

/* The fingerprint of the servers that are up and in state ready; t->all if no server is missing. */
uint64_t table_now(const struct table *t);

#define TABLE_TEXT_SIZE 17
/* Writes a fingerprint as 16 hexadecimal digits. Returns text. */
const char *table_print(uint64_t fingerprint, char text[TABLE_TEXT_SIZE]);

#endif
