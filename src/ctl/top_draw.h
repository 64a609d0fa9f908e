/* Draws top to fit the size of the terminal. */
#ifndef ZPROXY_CTL_TOP_DRAW_H
#define ZPROXY_CTL_TOP_DRAW_H

#include <stdbool.h>
#include <stddef.h>

#include "ctl/top_view.h"

#define TOP_FILTER_MAX 64

/* The choices that the user has made by keys. */
struct top_options {
    enum top_sort sort;
    bool trouble; /* only servers in trouble */
    bool typing;  /* the filter is being typed */
    char filter[TOP_FILTER_MAX];
    bool on_sessions;     /* the keys that scroll move the sessions, not the servers */
    size_t server_offset; /* the first row shown; top_draw() lowers it to the last page */
    size_t session_offset;
    size_t page; /* rows of the table that scrolls; set by top_draw() */
};

/* before: the previous view, for the rates of the process. */
void top_draw(const struct top_view *v, const struct top_view *before, struct top_options *c);

#endif
