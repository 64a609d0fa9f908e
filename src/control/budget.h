/* How many descriptors, pipes and sessions this machine allows, and what to raise for more. */
#ifndef ZPROXY_CONTROL_BUDGET_H
#define ZPROXY_CONTROL_BUDGET_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "config/config.h"

struct budget {
    uint64_t workers;
    uint64_t descriptors; /* RLIMIT_NOFILE after raising it to its hard limit */
    uint64_t listening;   /* of these for listening sockets */
    uint64_t own;         /* for these, loops, logs, checks */
    uint64_t pipes;       /* at most, all workers together */
    uint64_t pipe_pages;  /* of each pipe */
    uint64_t user_pages;  /* fs.pipe-user-pages-soft where it binds; 0: it does not */
    uint64_t sessions;    /* at most */
    bool by_descriptors;  /* these make that limit, max_connections is higher or off */
};

/* Raises the soft limit on descriptors to the hard one. Returns the limit now in force. */
uint64_t budget_raise_descriptors(void);

/* unprivileged: the program will run without CAP_SYS_RESOURCE. */
void budget_compute(struct budget *b, const struct config *c, uint64_t descriptors,
                    bool unprivileged);

/* Whether the listening sockets alone fit beside so many sessions; if not, tells errors. */
bool budget_suffices(const struct budget *b, uint64_t sessions, FILE *errors);

/* Writes it as lines for people, each begun with prefix. */
void budget_print(const struct budget *b, const struct config *c, FILE *out, const char *prefix);

#endif
