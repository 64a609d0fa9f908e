/* Ends sessions by order of the user, on all workers. For the control thread. */
#ifndef ZPROXY_CONTROL_CLOSING_H
#define ZPROXY_CONTROL_CLOSING_H

#include <stddef.h>
#include <stdint.h>

#include "control/crew.h"
#include "control/survey.h"

struct closing_order {
    const uint64_t *id; /* sessions, sorted; copied */
    size_t ids;
    const uint32_t *server; /* the serials of servers whose sessions all end; copied */
    size_t servers;
    void (*done)(void *arg, uint64_t closed); /* how many were found */
    void *arg;
};

/* Returns 0, or -ENOMEM and done will not be called. */
int closing_begin(struct survey_desk *desk, struct crew *crew, const struct closing_order *order);

#endif
