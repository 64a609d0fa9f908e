/* The current addresses of the names in the server lines of a pool, sorted for binary search: a
 * pool may have thousands of names, and new addresses of one name look up all of them.
 */
#ifndef ZPROXY_BALANCE_SERVER_LIST_NAMES_H
#define ZPROXY_BALANCE_SERVER_LIST_NAMES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/addr.h"
#include "config/config.h"

/* An address of a name. */
struct pool_answer {
    struct addr addr;
    unsigned weight; /* 1..256; 0: the weight of the server line */
    bool backup;     /* even if the server line is not a backup */
};

/* A name and its addresses. Options of the server line are not part of it, and may change. */
struct server_list_name {
    uint64_t hash; /* of host, service and port; the sort key */
    char *host;
    bool service;
    uint16_t port;
    struct pool_answer *answer;
    size_t count;
};

/* New addresses for the name in one line; line NULL: none. */
struct server_list_new_answers {
    const struct config_server *line;
    const struct pool_answer *answer;
    size_t count;
};

/* Copies the addresses of the names that conf has, with new_answers in place. Lines with the same
 * name share one entry. Returns the number of names, and the caller frees *out; or -ENOMEM. */
ssize_t server_list_names_plan(const struct server_list_name *known, size_t known_count,
                               const struct config_pool *conf,
                               const struct server_list_new_answers *new_answers,
                               struct server_list_name **out);
void server_list_names_free(struct server_list_name *name, size_t count);

/* Returns NULL if the line's name has not been resolved. */
const struct server_list_name *server_list_names_find(const struct server_list_name *name,
                                                      size_t count,
                                                      const struct config_server *line);

#endif
