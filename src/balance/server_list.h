/* The servers of a pool and where each comes from: a server line, the addresses of a name in a
 * server line, or a line that was added at run time. For the control thread.
 *
 * A change is first planned, which may fail and changes nothing, and then applied, which cannot
 * fail. A server whose address stays is the same object before and after.
 */
#ifndef ZPROXY_BALANCE_SERVER_LIST_H
#define ZPROXY_BALANCE_SERVER_LIST_H

#include <stdbool.h>
#include <stddef.h>

#include "balance/server.h"
#include "balance/server_list_names.h"
#include "balance/server_set.h"
#include "config/config.h"

struct server_list_entry;
struct server_list_plan;

struct server_list {
    struct server_list_entry *entry; /* in the order of the configuration */
    size_t count;
    struct server_list_name *name; /* the current addresses of names */
    size_t name_count;
    struct config_server **added; /* at run time */
    size_t added_count;
};

void server_list_init(struct server_list *list);
/* Frees the servers. No session may be on them. */
void server_list_fini(struct server_list *list);

/* Plans the servers of a configuration, with the current addresses of names that it still has.
 * Returns 0 or -ENOMEM. The caller frees *plan, applied or not. conf outlives the plan. */
int server_list_plan_config(const struct server_list *list, const struct config_pool *conf,
                            struct server_list_plan **plan);
/* Plans new addresses for the name in conf->server[line]. Returns 1, 0 if nothing changes (and no
 * plan is made), or -ENOMEM. */
int server_list_plan_answers(const struct server_list *list, const struct config_pool *conf,
                             size_t line, const struct pool_answer *answers, size_t count,
                             struct server_list_plan **plan);
/* Plan to add a server, or to remove an added one. Return 0, -EEXIST if a server has this name or
 * address, -ENOENT if srv was not added, or -ENOMEM. */
int server_list_plan_add(const struct server_list *list, const struct config_pool *conf,
                         const struct config_server *line, struct server_list_plan **plan);
int server_list_plan_remove(const struct server_list *list, const struct config_pool *conf,
                            const struct server *srv, struct server_list_plan **plan);
/* The line, of conf or added, with both this name and this address; NULL: none. */
const struct config_server *server_list_find_line(const struct server_list *list,
                                                  const struct config_pool *conf, const char *name,
                                                  const struct addr *at);
/* NULL is allowed. */
void server_list_plan_free(struct server_list_plan *plan);

/* The servers once the plan is applied. */
const struct server_member *server_list_plan_members(const struct server_list_plan *plan,
                                                     size_t *count);

/* server_list_try() gives the servers the settings and identities of the plan, server_list_revert()
 * their former ones. Names change only in server_list_apply(). A setting that was changed at run
 * time stays if the configuration has not changed it. */
void server_list_try(struct server_list_plan *plan);
void server_list_revert(struct server_list_plan *plan);

/* Applies a plan after server_list_try(). The caller owns removed_servers, the servers that are no
 * longer in the list. */
void server_list_apply(struct server_list *list, struct server_list_plan *plan,
                       struct removed_servers *removed_servers);

/* The current addresses of the name in a server line. */
const struct pool_answer *server_list_answers(const struct server_list *list,
                                              const struct config_server *line, size_t *count);

/* members[list->count] */
void server_list_members(const struct server_list *list, struct server_member *members);

#endif
