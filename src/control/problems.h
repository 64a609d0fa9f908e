/* The list of what is wrong with the process at this moment. zproxyctl, the status page and
 * /stats.json show the same list. For the control thread. */
#ifndef ZPROXY_CONTROL_PROBLEMS_H
#define ZPROXY_CONTROL_PROBLEMS_H

#include <stddef.h>

#include "control/runtime.h"

#define PROBLEM_SUBJECT_MAX 160
#define PROBLEM_TEXT_MAX    256

enum severity {
    SEVERITY_NONE,
    SEVERITY_WARNING,  /* clients are served, with less than was configured */
    SEVERITY_CRITICAL, /* some clients are not served */
};

struct problem {
    enum severity severity;
    char subject[PROBLEM_SUBJECT_MAX]; /* "pool web", "listener front", "reload" */
    char text[PROBLEM_TEXT_MAX];
};

struct problem_list {
    struct problem *problem;
    size_t count;
};

/* Lists all problems, critical ones first, otherwise in the order of the configuration. Returns 0
 * or -ENOMEM; the caller must call problems_free() in both cases. */
int problems_list(const struct runtime *rt, struct problem_list *list);
void problems_free(struct problem_list *list);

/* How severe the problem of a pool is; describes it in *problem, if that is not NULL. A server that
 * the user has put into maintenance or is draining is no problem while the pool has another usable
 * server. now in ms of the loop. */
enum severity problems_of_pool(const struct pool *p, uint64_t now, struct problem *problem);

/* "warning", "critical"; NULL for SEVERITY_NONE. */
const char *severity_name(enum severity severity);

#endif
