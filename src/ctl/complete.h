/* Completion of a command that is being typed: words of commands, and the names of pools, servers
 * and listeners of the running zproxy. */
#ifndef ZPROXY_CTL_COMPLETE_H
#define ZPROXY_CTL_COMPLETE_H

#include <stdbool.h>
#include <stddef.h>

#include "ctl/control_client.h"

struct complete {
    char **word; /* in no order; complete_free() frees them */
    size_t count;
    bool wants_file; /* the next word may also be the name of a file */
};

/* Finds the words that begin with text and may follow `before`, the line up to text. If zproxy does
 * not answer, count is 0. */
void complete_find(struct complete *c, struct control_client *t, const char *before,
                   const char *text);
void complete_free(struct complete *c);

#endif
