/* What an old process leaves to the new one beside sessions and sockets: plain structures that
 * travel in parcels (parcel.h). Text is NUL-terminated. */
#ifndef ZPROXY_HANDOVER_HANDOVER_MESSAGES_H
#define ZPROXY_HANDOVER_HANDOVER_MESSAGES_H

#include <stddef.h>
#include <stdint.h>

#include "balance/probe.h"
#include "base/addr.h"
#include "base/log.h"
#include "config/config.h"
#include "control/drains.h"
#include "control/inherited.h"
#include "control/worker.h"
#include "handover/handover_message.h"
#include "session/session_end.h"
#include "session/session_record.h"

#define HANDOVER_NAME_SIZE (CONFIG_NAME_MAX + 1)

/* With the descriptor of its pid file, if there is one. */
struct handover_process {
    uint64_t last_session_id;
    uint64_t reloads;
    uint64_t failed_reloads;
    uint64_t began;
    uint32_t log_level; /* also if it was set at run time */
    uint32_t is_open;   /* privileges_is_dumpable() */
    uint64_t log_dropped[LOG_NAME_COUNT];
    struct worker_totals totals;
};

/* Of the process's end, when its logs are closed. */
struct estate_log_loss {
    struct log_loss loss[LOG_NAME_COUNT]; /* dropped: beyond what handover_process told */
};

/* With a descriptor: the text as config_print() writes it. */
struct handover_config {
    uint32_t number;
    uint32_t in_force;
};

/* What checks have found (balance/health_state.h); all zeros where there are none. */
struct handover_check_result {
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

struct handover_server {
    char pool[HANDOVER_NAME_SIZE];
    char name[SESSION_RECORD_SERVER_NAME];
    struct addr addr;
    struct addr check_address;
    uint32_t weight;
    int32_t state;
    uint8_t up;
    uint8_t added; /* at run time */
    uint8_t backup;
    uint8_t draining; /* over a time */
    struct drain_progress drain;
    uint64_t max_connections;
    uint64_t out_until;
    uint64_t slow_start_began;
    uint64_t slow_start_length;
    uint64_t counter[SERVER_COUNTERS];
    struct handover_check_result check;
};

struct handover_answer {
    char pool[HANDOVER_NAME_SIZE];
    uint32_t line; /* of the pool's servers in the configuration in force */
    uint32_t weight;
    uint8_t backup;
    struct addr addr;
};

/* With its descriptors; those of one address may come in several. */
#define HANDOVER_SOCKET_FDS 64
struct handover_socket {
    uint32_t is_http; /* that of [admin] http; the others are listeners' */
    struct addr at;
    struct file_id file; /* of a unix socket; else none */
    uint32_t count;
};

/* With its descriptor. */
struct handover_inherited {
    char name[INHERITED_NAME];
    int32_t number;
};

/* A listener; then, with the name of a pool, how sessions of that have ended. */
struct handover_listener {
    char name[HANDOVER_NAME_SIZE];
    char pool[HANDOVER_NAME_SIZE];
    uint64_t connections;
    uint64_t refused[SESSION_ENDS];
    uint64_t ended[SESSION_ENDS];
};

struct handover_progress {
    uint64_t id;
    struct session_progress moment;
};

struct handover_late {
    struct session_setup terms;
    struct session_progress moment;
};

/* What travels, byte by byte: who changes one of these structures raises HANDOVER_VERSION
 * (parcel.h), here and there, and puts the new sizes here. */
_Static_assert(HANDOVER_VERSION == 11, "the sizes below are those of this version");
#ifdef __LP64__
_Static_assert(sizeof(struct handover_process) == 1048, "raise PARCEL_VERSION");
_Static_assert(sizeof(struct estate_log_loss) == 32, "raise PARCEL_VERSION");
_Static_assert(sizeof(struct handover_config) == 8, "raise PARCEL_VERSION");
_Static_assert(sizeof(struct handover_check_result) == 312, "raise PARCEL_VERSION");
_Static_assert(sizeof(struct handover_server) == 1176, "raise PARCEL_VERSION");
_Static_assert(offsetof(struct handover_process, totals) == 56, "raise PARCEL_VERSION");
_Static_assert(offsetof(struct handover_server, check) == 864, "raise PARCEL_VERSION");
_Static_assert(sizeof(struct handover_answer) == 200, "raise PARCEL_VERSION");
_Static_assert(sizeof(struct handover_socket) == 152, "raise PARCEL_VERSION");
_Static_assert(sizeof(struct handover_inherited) == 260, "raise PARCEL_VERSION");
_Static_assert(sizeof(struct handover_listener) == 544, "raise PARCEL_VERSION");
_Static_assert(sizeof(struct session_setup) == 912, "raise PARCEL_VERSION");
_Static_assert(offsetof(struct session_setup, file_length) == 768, "raise PARCEL_VERSION");
_Static_assert(sizeof(struct session_progress) == 72, "raise PARCEL_VERSION");
_Static_assert(offsetof(struct session_progress, up) == 40, "raise PARCEL_VERSION");
_Static_assert(sizeof(struct handover_progress) == 80, "raise PARCEL_VERSION");
_Static_assert(sizeof(struct handover_late) == 984, "raise PARCEL_VERSION");
#endif
/* Enumerations travel as numbers: what is inserted in the middle of one changes what they mean. */
_Static_assert(SESSION_ENDS == 25 && SESSION_END_FILE_FAILED == 24, "raise PARCEL_VERSION");
_Static_assert(SESSION_ENDED == 6 && FLOW_DONE == 2 && CONFIG_STATE_MAINT == 2 &&
                   LOG_LEVEL_DEBUG == 4 && RELAY_PATHS == 3 && RELAY_FALLBACKS == 2,
               "raise PARCEL_VERSION");

/* Whether what has come is one at all: every number is one that it may be, every text has an end,
 * and the descriptors are there and of their kind. now: ms of CLOCK_MONOTONIC. All return NULL, or
 * what is wrong, for a message. */
const char *handover_check_process(const struct handover_process *e, int pid_file);
const char *handover_check_config(const struct handover_config *e, int file);
const char *handover_check_socket(const struct handover_socket *e,
                                  const int fd[HANDOVER_SOCKET_FDS]);
const char *handover_check_admin(const struct handover_socket *e, int fd);
const char *handover_check_inherited(const struct handover_inherited *e, int fd);
const char *handover_check_answer(const struct handover_answer *e);
const char *handover_check_server(const struct handover_server *e, uint64_t now);
const char *handover_check_listener(const struct handover_listener *e);

#endif
