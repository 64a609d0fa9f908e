/* What may come next in a command that is being typed: its own words, names of pools, servers and
 * listeners, as the running zproxy has them. */
#ifndef ZPROXY_CTL_COMPLETE_H
#define ZPROXY_CTL_COMPLETE_H

#include <stdbool.h>
#include <stddef.h>

#include "ctl/control_client.h"

struct complete {
    char **word; /* sorted by no order; free() is complete_free()'s */
    size_t count;
    bool wants_file; /* a file of this machine may stand here */
};

/* Finds all words that begin with text and may follow the words in `before`, which ends where text
 * begins. Without an answer from zproxy there are none. */
void complete_find(struct complete *c, struct control_client *t, const char *before,
                   const char *text);
void complete_free(struct complete *c);

#endif
