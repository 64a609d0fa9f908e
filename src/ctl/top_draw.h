/* The picture of top, as text of the terminal's size. */
#ifndef ZPROXY_CTL_TOP_DRAW_H
#define ZPROXY_CTL_TOP_DRAW_H

#include <stdbool.h>
#include <stddef.h>

#include "ctl/top_view.h"

#define TOP_FILTER_MAX 64

/* What the user has chosen by keys. */
struct top_options {
    enum top_sort sort;
    bool trouble; /* only servers in trouble */
    bool typing;  /* the filter is being typed */
    char filter[TOP_FILTER_MAX];
    bool on_sessions;     /* the keys that scroll move the sessions, not the servers */
    size_t server_offset; /* the first row that is shown; draw() lowers it to what there is */
    size_t session_offset;
    size_t page; /* rows that the scrolled table shows; draw() writes it */
};

/* before: for the rates of the whole process. */
void top_draw(const struct top_view *v, const struct top_view *before, struct top_options *c);

#endif
