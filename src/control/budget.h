/* How many descriptors, pipes and sessions the limits of this machine allow, and which limit to
 * raise for more. */
#ifndef ZPROXY_CONTROL_BUDGET_H
#define ZPROXY_CONTROL_BUDGET_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "config/config.h"

struct budget {
    uint64_t workers;
    uint64_t descriptors; /* RLIMIT_NOFILE after raising it to its hard limit */
    uint64_t listening;   /* descriptors of listening sockets */
    uint64_t own;         /* the same, and those of loops, logs and checks */
    uint64_t pipes;       /* maximum of all workers together */
    uint64_t pipe_pages;  /* of each pipe */
    uint64_t user_pages;  /* fs.pipe-user-pages-soft; 0: it does not apply */
    uint64_t sessions;    /* maximum */
    bool by_descriptors;  /* descriptors set that maximum: max_connections is higher or off */
};

/* Raises the soft limit on descriptors to the hard one. Returns the limit that is then in force. */
uint64_t budget_raise_descriptors(void);

/* unprivileged: the program will run without CAP_SYS_RESOURCE. */
void budget_compute(struct budget *b, const struct config *c, uint64_t descriptors,
                    bool unprivileged);

/* Whether the descriptors suffice for the listening sockets and this number of sessions. If not,
 * prints to errors which limit to raise. */
bool budget_suffices(const struct budget *b, uint64_t sessions, FILE *errors);

/* Prints the budget for the user, each line after prefix. */
void budget_print(const struct budget *b, const struct config *c, FILE *out, const char *prefix);

#endif
