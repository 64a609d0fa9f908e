/* What an old process leaves to the new one beside sessions and sockets: plain structures that
 * travel in parcels (parcel.h). Text is NUL-terminated. */
#ifndef ZPROXY_UPGRADE_ESTATE_H
#define ZPROXY_UPGRADE_ESTATE_H

#include <stddef.h>
#include <stdint.h>

#include "balance/probe.h"
#include "base/addr.h"
#include "base/log.h"
#include "config/config.h"
#include "control/drains.h"
#include "control/inherited.h"
#include "control/worker.h"
#include "session/end.h"
#include "session/record.h"
#include "upgrade/parcel.h"

#define ESTATE_NAME (CONFIG_NAME_MAX + 1)

/* With the descriptor of its pid file, if there is one. */
struct estate_process {
    uint64_t last_session_id;
    uint64_t reloads;
    uint64_t failed_reloads;
    uint64_t began;
    uint32_t log_level; /* also if it was set at run time */
    uint32_t is_open;   /* privileges_is_open() */
    uint64_t log_dropped[LOG_NAMES];
    struct worker_totals totals;
};

/* Of the process's end, when its logs are closed. */
struct estate_log_loss {
    struct log_loss loss[LOG_NAMES]; /* dropped: beyond what estate_process told */
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
    char name[RECORD_SERVER_NAME];
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

/* With its descriptors; those of one address may come in several. */
#define ESTATE_SOCKET_FDS 64
struct estate_socket {
    uint32_t of_http; /* that of [admin] http; the others are listeners' */
    struct addr at;
    struct file_id file; /* of a unix socket; else none */
    uint32_t count;
};

/* With its descriptor. */
struct estate_handed {
    char name[INHERITED_NAME];
    int32_t number;
};

/* A listener; then, with the name of a pool, how sessions of that have ended. */
struct estate_entrance {
    char name[ESTATE_NAME];
    char pool[ESTATE_NAME];
    uint64_t connections;
    uint64_t refused[SESSION_ENDS];
    uint64_t ended[SESSION_ENDS];
};

struct estate_moment {
    uint64_t id;
    struct session_moment moment;
};

struct estate_late {
    struct session_terms terms;
    struct session_moment moment;
};

/* What travels, byte by byte: who changes one of these structures raises PARCEL_VERSION (parcel.h),
 * here and there, and puts the new sizes here. */
_Static_assert(PARCEL_VERSION == 11, "the sizes below are those of this version");
#ifdef __LP64__
_Static_assert(sizeof(struct estate_process) == 1048, "raise PARCEL_VERSION");
_Static_assert(sizeof(struct estate_log_loss) == 32, "raise PARCEL_VERSION");
_Static_assert(sizeof(struct estate_config) == 8, "raise PARCEL_VERSION");
_Static_assert(sizeof(struct estate_check) == 312, "raise PARCEL_VERSION");
_Static_assert(sizeof(struct estate_server) == 1176, "raise PARCEL_VERSION");
_Static_assert(offsetof(struct estate_process, totals) == 56, "raise PARCEL_VERSION");
_Static_assert(offsetof(struct estate_server, check) == 864, "raise PARCEL_VERSION");
_Static_assert(sizeof(struct estate_answer) == 200, "raise PARCEL_VERSION");
_Static_assert(sizeof(struct estate_socket) == 152, "raise PARCEL_VERSION");
_Static_assert(sizeof(struct estate_handed) == 260, "raise PARCEL_VERSION");
_Static_assert(sizeof(struct estate_entrance) == 544, "raise PARCEL_VERSION");
_Static_assert(sizeof(struct session_terms) == 912, "raise PARCEL_VERSION");
_Static_assert(offsetof(struct session_terms, file_length) == 768, "raise PARCEL_VERSION");
_Static_assert(sizeof(struct session_moment) == 72, "raise PARCEL_VERSION");
_Static_assert(offsetof(struct session_moment, up) == 40, "raise PARCEL_VERSION");
_Static_assert(sizeof(struct estate_moment) == 80, "raise PARCEL_VERSION");
_Static_assert(sizeof(struct estate_late) == 984, "raise PARCEL_VERSION");
#endif
/* Enumerations travel as numbers: what is inserted in the middle of one changes what they mean. */
_Static_assert(SESSION_ENDS == 25 && SESSION_END_FILE_FAILED == 24, "raise PARCEL_VERSION");
_Static_assert(SESSION_ENDED == 6 && FLOW_DONE == 2 && CONFIG_STATE_MAINT == 2 &&
                   LOG_LEVEL_DEBUG == 4 && MOVER_PATHS == 3 && MOVER_FALLBACKS == 2,
               "raise PARCEL_VERSION");

/* Whether what has come is one at all: every number is one that it may be, every text has an end,
 * and the descriptors are there and of their kind. now: ms of CLOCK_MONOTONIC. All return NULL, or
 * what is wrong, for a message. */
const char *estate_check_process(const struct estate_process *e, int pid_file);
const char *estate_check_config(const struct estate_config *e, int file);
const char *estate_check_socket(const struct estate_socket *e, const int fd[ESTATE_SOCKET_FDS]);
const char *estate_check_admin(const struct estate_socket *e, int fd);
const char *estate_check_handed(const struct estate_handed *e, int fd);
const char *estate_check_answer(const struct estate_answer *e);
const char *estate_check_server(const struct estate_server *e, uint64_t now);
const char *estate_check_entrance(const struct estate_entrance *e);

#endif
