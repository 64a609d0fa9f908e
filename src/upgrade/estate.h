/* What an old process leaves to the new one beside sessions and sockets: plain structures that
 * travel in parcels (parcel.h). Text is NUL-terminated. */
#ifndef ZPROXY_UPGRADE_ESTATE_H
#define ZPROXY_UPGRADE_ESTATE_H

#include <stdint.h>

#include "balance/probe.h"
#include "base/addr.h"
#include "config/config.h"
#include "control/drains.h"
#include "control/inherited.h"
#include "control/worker.h"
#include "session/end.h"
#include "session/record.h"

#define ESTATE_NAME (CONFIG_NAME_MAX + 1)

/* With the descriptor of its pid file, if there is one. */
struct estate_process {
    uint64_t last_session_id;
    uint64_t reloads;
    uint64_t failed_reloads;
    uint64_t began;
    struct worker_totals totals;
};

/* With a descriptor: the text as config_print() writes it. */
struct estate_config {
    uint32_t number;
    uint32_t in_force;
};

/* What checks have found (balance/verdict.h); all zeros where there are none. */
struct estate_check {
    uint8_t settled;
    uint8_t passed;
    uint64_t streak;
    uint64_t successes;
    uint64_t failures;
    uint64_t checked;
    uint64_t changed;
    uint64_t duration;
    char why[PROBE_WHY_MAX];
};

struct estate_server {
    char pool[ESTATE_NAME];
    char name[ESTATE_NAME];
    struct addr addr;
    struct addr check_address;
    uint32_t weight;
    int32_t state;
    uint8_t up;
    uint8_t added; /* at run time */
    uint8_t backup;
    uint8_t draining; /* over a time */
    struct drain_course drain;
    uint64_t max_connections;
    uint64_t out_until;
    uint64_t ramp_began;
    uint64_t ramp_length;
    uint64_t connections;
    uint64_t failures;
    uint64_t received;
    uint64_t sent;
    struct estate_check check;
};

struct estate_answer {
    char pool[ESTATE_NAME];
    uint32_t line; /* of the pool's servers in the configuration in force */
    uint32_t weight;
    uint8_t backup;
    struct addr addr;
};

/* With its descriptors. */
struct estate_socket {
    uint32_t of_http; /* that of [admin] http; the others are listeners' */
    struct addr at;
    uint32_t count;
};

/* With its descriptor. */
struct estate_handed {
    char name[INHERITED_NAME];
    int32_t number;
};

struct estate_entrance {
    char name[ESTATE_NAME];
    uint64_t connections;
    uint64_t refused[SESSION_ENDS];
};

struct estate_moment {
    uint64_t id;
    struct session_moment moment;
};

struct estate_late {
    struct session_terms terms;
    struct session_moment moment;
};

#endif
