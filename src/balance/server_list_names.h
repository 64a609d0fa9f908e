/* The answers in force for the names in the server lines of a pool, sorted, so that each is found
 * at once: a pool may have thousands, and each answer to one has all of them gone through.
 */
#ifndef ZPROXY_BALANCE_SERVER_LIST_NAMES_H
#define ZPROXY_BALANCE_SERVER_LIST_NAMES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/addr.h"
#include "config/config.h"

/* An address that a name has been resolved to. */
struct pool_answer {
    struct addr addr;
    unsigned weight; /* 1..256; 0: what the server line says */
    bool backup;     /* also if the server line does not say so */
};

/* Answers belong to what stands on the server line, so they outlive changes of its options. */
struct server_list_name {
    uint64_t hash; /* of what stands there; sorted by it */
    char *host;
    bool service;
    uint16_t port;
    struct pool_answer *answer;
    size_t count;
};

/* New answers for one line; line NULL: none. */
struct server_list_new_answers {
    const struct config_server *line;
    const struct pool_answer *answer;
    size_t count;
};

/* The answers to names that a configuration still has, with the news among them. Lines with the
 * same name share them. Returns how many names there are (*out is the caller's), or -ENOMEM. */
ssize_t server_list_names_plan(const struct server_list_name *known, size_t known_count,
                               const struct config_pool *conf,
                               const struct server_list_new_answers *new_answers,
                               struct server_list_name **out);
void server_list_names_free(struct server_list_name *name, size_t count);

/* NULL: no answer is known for the line. */
const struct server_list_name *server_list_names_find(const struct server_list_name *name,
                                                      size_t count,
                                                      const struct config_server *line);

#endif
