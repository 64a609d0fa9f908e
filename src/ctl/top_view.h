/* The data of the live view: the answers of zproxy at one moment, and rates since the previous
 * view. */
#ifndef ZPROXY_CTL_TOP_VIEW_H
#define ZPROXY_CTL_TOP_VIEW_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ctl/control_client.h"

enum top_sort {
    TOP_SORT_TROUBLE, /* servers in trouble first, otherwise in the order of the configuration */
    TOP_SORT_NAME,
    TOP_SORT_ACTIVE,
    TOP_SORT_NEW,
    TOP_SORT_FAILED,
    TOP_SORT_BYTES,
    TOP_SORTS,
};

/* The name that the line of keys shows. */
const char *top_sort_name(enum top_sort sort);

struct top_server {
    const json_t *server; /* a row of "show servers"; owned by the view */
    bool trouble;         /* ready, but not up */
    size_t index;         /* in the order of the configuration */
    uint64_t new_rate;    /* per second, as the next two */
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

/* Requests the data from zproxy. before: the previous view, for the rates; NULL: none. Returns 0,
 * and the caller frees *v; or -errno. */
int top_view_fetch(struct control_client *t, const struct top_view *before, struct top_view *v);
void top_view_free(struct top_view *v);

void top_view_sort(struct top_view *v, enum top_sort sort);

/* Finds the rows whose name, address, state or status contains filter, ignoring case; if trouble is
 * set, only those in trouble. Writes their indices to match, which has room for v->count, and
 * returns their number. */
size_t top_view_match(const struct top_view *v, const char *filter, bool trouble, size_t *match);

/* A value of an object; 0 or "-" if it is missing. */
uint64_t top_number(const json_t *object, const char *key);
const char *top_text(const json_t *object, const char *key);

#endif
