/* What top shows: the answers of zproxy at one moment, and the rates since the moment before. */
#ifndef ZPROXY_CTL_TOP_VIEW_H
#define ZPROXY_CTL_TOP_VIEW_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ctl/control_client.h"

enum top_sort {
    TOP_SORT_TROUBLE, /* servers that are down or out first, then the configuration's order */
    TOP_SORT_NAME,
    TOP_SORT_ACTIVE,
    TOP_SORT_NEW,
    TOP_SORT_FAILED,
    TOP_SORT_BYTES,
    TOP_SORTS,
};

/* The word for the line of keys. */
const char *top_sort_name(enum top_sort sort);

struct top_server {
    const json_t *server; /* of "show servers"; the view owns it */
    bool trouble;         /* it should be up and is not */
    size_t index;         /* in the order of the configuration */
    uint64_t new_rate;    /* a second, like the next two */
    uint64_t failed_rate;
    uint64_t bytes_rate;
};

struct top_view {
    json_t *info;
    json_t *problems;
    json_t *servers;
    json_t *sessions;
    uint64_t at; /* ms, monotonic */
    struct top_server *row;
    size_t count;
};

/* The time of CLOCK_MONOTONIC, ms. */
uint64_t top_clock(void);

/* Asks zproxy. before: the view of the moment before, for the rates; NULL: there is none. Returns 0
 * or -errno, and then there is nothing to free. */
int top_view_fetch(struct control_client *t, const struct top_view *before, struct top_view *v);
void top_view_free(struct top_view *v);

void top_view_sort(struct top_view *v, enum top_sort sort);

/* The rows that match: filter is a part of name, address, state or status, in either case. Writes
 * their indices to match, which has room for v->count, and returns how many there are. */
size_t top_view_match(const struct top_view *v, const char *filter, bool trouble, size_t *match);

/* Values of an object: 0 and "-" where there is none. */
uint64_t top_number(const json_t *object, const char *key);
const char *top_text(const json_t *object, const char *key);

#endif
