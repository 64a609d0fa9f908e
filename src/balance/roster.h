/* The servers of a pool and where each comes from: a line of the configuration, an answer to the
 * name that stands there, or a line that was added at run time. For the control thread.
 *
 * Changes are planned first, which can fail and changes nothing, then applied, which cannot. A
 * server that stays (the same address) is the same object before and after.
 */
#ifndef ZPROXY_BALANCE_ROSTER_H
#define ZPROXY_BALANCE_ROSTER_H

#include <stdbool.h>
#include <stddef.h>

#include "balance/backend.h"
#include "balance/roster_names.h"
#include "balance/server_set.h"
#include "config/config.h"

struct roster_entry;
struct roster_plan;

struct roster {
    struct roster_entry *entry; /* in the configuration's order */
    size_t count;
    struct roster_name *name; /* the answers in force, by name */
    size_t name_count;
    struct config_server **added; /* at run time, beside those of the configuration */
    size_t added_count;
};

void roster_init(struct roster *r);
/* Frees the servers: no session may be on them. */
void roster_fini(struct roster *r);

/* What a configuration asks for, with the answers in force for names that it still has. Returns 0
 * or -ENOMEM; *plan is freed by the caller, applied or not. conf outlives the plan. */
int roster_plan_config(const struct roster *r, const struct config_pool *conf,
                       struct roster_plan **plan);
/* What becomes of it with these answers for conf->server[line], which has a name. Returns 1, 0
 * when nothing would change (no plan), or -ENOMEM. */
int roster_plan_answers(const struct roster *r, const struct config_pool *conf, size_t line,
                        const struct pool_answer *answers, size_t count, struct roster_plan **plan);
/* What becomes of it with a further server, or without one that was added. Return 0; -EEXIST when
 * there is one of this name or address; -ENOENT when it was not added; -ENOMEM. */
int roster_plan_added(const struct roster *r, const struct config_pool *conf,
                      const struct config_server *line, struct roster_plan **plan);
int roster_plan_deleted(const struct roster *r, const struct config_pool *conf,
                        const struct backend *b, struct roster_plan **plan);
/* NULL is allowed. */
void roster_plan_free(struct roster_plan *plan);

/* The servers that there will be. */
const struct server_place *roster_plan_places(const struct roster_plan *plan, size_t *count);

/* Gives the servers the settings of the plan, and those that they had: where the configuration
 * says what it said before, what was set at run time stays. */
void roster_try(struct roster_plan *plan);
void roster_revert(struct roster_plan *plan);

/* Puts a plan that has been tried in force. leavers: the servers that are no longer in the roster;
 * they are the caller's. */
void roster_apply(struct roster *r, struct roster_plan *plan, struct backend_list *leavers);

/* The answers in force for a server line with a name. */
const struct pool_answer *roster_answers(const struct roster *r, const struct config_server *line,
                                         size_t *count);

/* places[r->count] */
void roster_places(const struct roster *r, struct server_place *places);

#endif
