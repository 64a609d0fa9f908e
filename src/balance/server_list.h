/* The servers of a pool and where each comes from: a line of the configuration, an answer to the
 * name that stands there, or a line that was added at run time. For the control thread.
 *
 * Changes are planned first, which can fail and changes nothing, then applied, which cannot. A
 * server that stays (the same address) is the same object before and after.
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
    struct server_list_entry *entry; /* in the configuration's order */
    size_t count;
    struct server_list_name *name; /* the answers in force, by name */
    size_t name_count;
    struct config_server **added; /* at run time, beside those of the configuration */
    size_t added_count;
};

void server_list_init(struct server_list *list);
/* Frees the servers: no session may be on them. */
void server_list_fini(struct server_list *list);

/* What a configuration asks for, with the answers in force for names that it still has. Returns 0
 * or -ENOMEM; *plan is freed by the caller, applied or not. conf outlives the plan. */
int server_list_plan_config(const struct server_list *list, const struct config_pool *conf,
                            struct server_list_plan **plan);
/* What becomes of it with these answers for conf->server[line], which has a name. Returns 1, 0
 * when nothing would change (no plan), or -ENOMEM. */
int server_list_plan_answers(const struct server_list *list, const struct config_pool *conf,
                             size_t line, const struct pool_answer *answers, size_t count,
                             struct server_list_plan **plan);
/* What becomes of it with a further server, or without one that was added. Return 0; -EEXIST when
 * there is one of this name or address; -ENOENT when it was not added; -ENOMEM. */
int server_list_plan_add(const struct server_list *list, const struct config_pool *conf,
                         const struct config_server *line, struct server_list_plan **plan);
int server_list_plan_remove(const struct server_list *list, const struct config_pool *conf,
                            const struct server *srv, struct server_list_plan **plan);
/* NULL is allowed. */
void server_list_plan_free(struct server_list_plan *plan);

/* The servers that there will be. */
const struct server_member *server_list_plan_members(const struct server_list_plan *plan,
                                                     size_t *count);

/* Gives the servers the settings of the plan, and those that they had: where the configuration
 * says what it said before, what was set at run time stays. */
void server_list_try(struct server_list_plan *plan);
void server_list_revert(struct server_list_plan *plan);

/* Puts a plan that has been tried in force. leavers: the servers that are no longer in the roster;
 * they are the caller's. */
void server_list_apply(struct server_list *list, struct server_list_plan *plan,
                       struct removed_servers *removed_servers);

/* The answers in force for a server line with a name. */
const struct pool_answer *server_list_answers(const struct server_list *list,
                                              const struct config_server *line, size_t *count);

/* places[list->count] */
void server_list_members(const struct server_list *list, struct server_member *members);

#endif
