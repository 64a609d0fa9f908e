/* The items of a handover's messages (handover_message.h), except sessions (session_record.h):
 * structures that are copied byte by byte. Texts are NUL-terminated, times are ms of
 * CLOCK_MONOTONIC, which is the same in both processes.
 *
 * To add a counter: add a row to its table below, adjust the size asserted at the end, and raise
 * HANDOVER_VERSION (CHANGELOG.md names it too). The tables declare the fields of the items; the
 * sender copies, the receiver checks and restores, and check_handover_state.c compares what they
 * list. The counters of a server (enum server_counter) and the totals of the workers (struct
 * worker_totals) are copied whole, so that only the size and the version change.
 */
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
#include "control/rebalances.h"
#include "control/worker.h"
#include "handover/handover_message.h"
#include "session/session_end.h"
#include "session/session_record.h"
#include "session/session_record_tls.h"

/* ---- the tables ---- */

/* What a received value may be. */
enum handover_value {
    HANDOVER_VALUE_ANY,
    HANDOVER_VALUE_FLAG,   /* 0 or 1 */
    HANDOVER_VALUE_PAST,   /* a time that is not in the future */
    HANDOVER_VALUE_WEIGHT, /* 1..256 */
    HANDOVER_VALUE_STATE,  /* enum config_state */
    HANDOVER_VALUE_HEALTH, /* enum health_override */
};

/* X(type in the item, field, enum handover_value): a value whose field has the same name in the
 * object. The object is struct runtime. */
#define HANDOVER_PROCESS_COUNTERS(X)                    \
    X(uint64_t, reloads, HANDOVER_VALUE_ANY)            \
    X(uint64_t, failed_reloads, HANDOVER_VALUE_ANY)     \
    X(uint64_t, began, HANDOVER_VALUE_ANY)              \
    X(uint32_t, health_override, HANDOVER_VALUE_HEALTH) \
    X(uint32_t, was_healthy, HANDOVER_VALUE_FLAG)

/* The object is struct server, where the fields are atomic. */
#define HANDOVER_SERVER_STATE(X)               \
    X(uint32_t, weight, HANDOVER_VALUE_WEIGHT) \
    X(int32_t, state, HANDOVER_VALUE_STATE)    \
    X(uint8_t, up, HANDOVER_VALUE_FLAG)
#define HANDOVER_SERVER_LIMITS(X)                      \
    X(uint64_t, max_connections, HANDOVER_VALUE_ANY)   \
    X(uint64_t, out_until, HANDOVER_VALUE_ANY)         \
    X(uint64_t, slow_start_began, HANDOVER_VALUE_PAST) \
    X(uint64_t, slow_start_length, HANDOVER_VALUE_ANY) \
    X(uint64_t, connect_time, HANDOVER_VALUE_ANY)

/* The object is struct health_state. */
#define HANDOVER_HEALTH_VALUES(X)              \
    X(uint8_t, settled, HANDOVER_VALUE_FLAG)   \
    X(uint8_t, passed, HANDOVER_VALUE_FLAG)    \
    X(uint64_t, streak, HANDOVER_VALUE_ANY)    \
    X(uint64_t, successes, HANDOVER_VALUE_ANY) \
    X(uint64_t, failures, HANDOVER_VALUE_ANY)  \
    X(uint64_t, checked, HANDOVER_VALUE_PAST)  \
    X(uint64_t, changed, HANDOVER_VALUE_PAST)  \
    X(uint64_t, duration, HANDOVER_VALUE_ANY)

/* ONE(field) and MANY(field, length): fields that are struct counter in the object. The object is
 * struct server. */
#define HANDOVER_SERVER_COUNTERS(MANY) MANY(counter, SERVER_COUNTERS)
/* The object is struct listener_state. */
#define HANDOVER_LISTENER_COUNTERS(ONE, MANY) \
    ONE(connections)                          \
    MANY(refused, SESSION_ENDS)               \
    MANY(handshakes, TLS_HANDSHAKES)
/* The object is struct listener_state. */
#define HANDOVER_LISTENER_VALUES(X)                     \
    X(uint32_t, health_override, HANDOVER_VALUE_HEALTH) \
    X(uint32_t, was_healthy, HANDOVER_VALUE_FLAG)
/* The object is struct end_counts. */
#define HANDOVER_END_COUNTERS(MANY) MANY(ended, SESSION_ENDS)

#define HANDOVER_FIELD(type, name, value) type name;
#define HANDOVER_COUNTER(name)            uint64_t name;
#define HANDOVER_COUNTERS(name, length)   uint64_t name[length];

/* ---- the items ---- */

#define HANDOVER_NAME_SIZE (CONFIG_NAME_MAX + 1)

/* With the descriptor of the pid file, if there is one. */
struct handover_process {
    uint64_t last_session_id;
    HANDOVER_PROCESS_COUNTERS(HANDOVER_FIELD)
    uint32_t log_level;   /* in force; it may have been set at run time */
    uint32_t is_dumpable; /* privileges_is_dumpable() */
    uint64_t log_dropped[LOG_NAME_COUNT];
    struct worker_totals totals;
};

/* Log lines that the old process lost at its end, when it closed its logs. */
struct handover_log_loss {
    struct log_loss loss[LOG_NAME_COUNT]; /* dropped: not counted in handover_process */
};

/* Sessions that were not handed over and have not ended yet. */
struct handover_staying {
    uint64_t pid; /* of the old process */
    uint64_t sessions;
};

/* With a descriptor of the text that config_print() writes. */
struct handover_config {
    uint32_t number; /* of the generation; sessions refer to it */
    uint32_t in_force;
};

/* Results of a server's checks; all zeros if it has no checks. */
struct handover_health {
    HANDOVER_HEALTH_VALUES(HANDOVER_FIELD)
    char why[PROBE_WHY_MAX];
};

struct handover_server {
    char pool[HANDOVER_NAME_SIZE];
    char name[SESSION_RECORD_SERVER_NAME];
    struct addr addr;
    struct addr check_address;
    HANDOVER_SERVER_STATE(HANDOVER_FIELD)
    uint8_t added; /* at run time */
    uint8_t backup;
    uint8_t draining; /* over a time: drain is valid */
    struct drain_progress drain;
    HANDOVER_SERVER_LIMITS(HANDOVER_FIELD)
    HANDOVER_SERVER_COUNTERS(HANDOVER_COUNTERS)
    struct handover_health check;
};

/* An address that the name on a server line resolved to. */
struct handover_answer {
    char pool[HANDOVER_NAME_SIZE];
    uint32_t line; /* index into the pool's servers of the configuration in force */
    uint32_t weight;
    uint8_t backup;
    struct addr addr;
};

/* A listening address with its descriptors. Several items may have the same address. */
#define HANDOVER_SOCKET_FDS 64
struct handover_socket {
    uint32_t is_http; /* [admin] http; otherwise a listener's */
    struct addr at;
    struct file_id file; /* of a unix socket; otherwise zeros */
    uint32_t count;      /* descriptors */
};

/* A socket passed by the service manager, with its descriptor. */
struct handover_inherited {
    char name[INHERITED_NAME];
    int32_t number;
};

/* pool "": the listener's counters and values. Otherwise how its sessions with this pool have
 * ended. */
struct handover_listener {
    char name[HANDOVER_NAME_SIZE];
    char pool[HANDOVER_NAME_SIZE];
    HANDOVER_LISTENER_COUNTERS(HANDOVER_COUNTER, HANDOVER_COUNTERS)
    HANDOVER_LISTENER_VALUES(HANDOVER_FIELD)
    HANDOVER_END_COUNTERS(HANDOVER_COUNTERS)
};

struct handover_pool {
    char name[HANDOVER_NAME_SIZE];
    uint8_t paused;
    uint8_t rebalancing;  /* rebalance is valid */
    uint64_t last_usable; /* pool_last_usable() */
    struct rebalance_progress rebalance;
};

/* Of a session that was sent in HANDOVER_SESSIONS. */
struct handover_progress {
    uint64_t id;
    struct session_progress progress;
};

struct handover_late {
    struct session_setup setup;
    struct session_progress progress;
};

/* HANDOVER_TLS has struct session_tls, for each side in session_progress.tls_sides. */

/* ---- the layout of this version ---- */

/* A change of a structure above changes a number here. Raise HANDOVER_VERSION with it, and the
 * number in the first assertion: processes of different versions refuse each other. */
_Static_assert(HANDOVER_VERSION == 25, "the sizes below are those of this version");
#define HANDOVER_LAYOUT(what, number) \
    _Static_assert((what) == (number), "layout changed: raise HANDOVER_VERSION")
#ifdef __LP64__
HANDOVER_LAYOUT(sizeof(struct handover_process), 1496);
HANDOVER_LAYOUT(offsetof(struct handover_process, totals), 64);
HANDOVER_LAYOUT(sizeof(struct handover_log_loss), 32);
HANDOVER_LAYOUT(sizeof(struct handover_staying), 16);
HANDOVER_LAYOUT(sizeof(struct handover_config), 8);
HANDOVER_LAYOUT(sizeof(struct handover_health), 312);
HANDOVER_LAYOUT(sizeof(struct handover_server), 1224);
HANDOVER_LAYOUT(offsetof(struct handover_server, check), 912);
HANDOVER_LAYOUT(sizeof(struct handover_answer), 200);
HANDOVER_LAYOUT(sizeof(struct handover_socket), 152);
HANDOVER_LAYOUT(sizeof(struct handover_inherited), 260);
HANDOVER_LAYOUT(sizeof(struct handover_listener), 712);
HANDOVER_LAYOUT(sizeof(struct session_setup), 912);
HANDOVER_LAYOUT(offsetof(struct session_setup, file_length), 768);
HANDOVER_LAYOUT(sizeof(struct handover_pool), 200);
HANDOVER_LAYOUT(sizeof(struct session_progress), 80);
HANDOVER_LAYOUT(offsetof(struct session_progress, up), 48);
HANDOVER_LAYOUT(sizeof(struct handover_progress), 88);
HANDOVER_LAYOUT(sizeof(struct handover_late), 992);
HANDOVER_LAYOUT(sizeof(struct session_tls), 488);
#endif
/* Enumerations are sent as numbers: a constant inserted in the middle changes their meaning. */
HANDOVER_LAYOUT(SESSION_ENDS, 29);
HANDOVER_LAYOUT(SESSION_END_REBALANCE, 25);
HANDOVER_LAYOUT(SESSION_ENDED, 8);
HANDOVER_LAYOUT(FLOW_CLOSE, 3);
HANDOVER_LAYOUT(CONFIG_STATE_MAINT, 2);
HANDOVER_LAYOUT(HEALTH_SET_FAIL, 2);
HANDOVER_LAYOUT(LOG_LEVEL_DEBUG, 4);
HANDOVER_LAYOUT(RELAY_PATHS, 4);
HANDOVER_LAYOUT(RELAY_FALLBACKS, 2);
HANDOVER_LAYOUT(TLS_USER_REASONS, 11);
HANDOVER_LAYOUT(TLS_CIPHERS, 4);

/* ---- checks of received items ---- */

/* Check that every number is in its range, every text is terminated, and every descriptor is
 * present and of its kind. now: ms of CLOCK_MONOTONIC. Return NULL, or what is wrong, for an error
 * message. */
const char *handover_check_process(const struct handover_process *e, int pid_file);
const char *handover_check_config(const struct handover_config *e, int file);
const char *handover_check_socket(const struct handover_socket *e,
                                  const int fd[HANDOVER_SOCKET_FDS]);
const char *handover_check_admin(const struct handover_socket *e, int fd);
const char *handover_check_inherited(const struct handover_inherited *e, int fd);
const char *handover_check_answer(const struct handover_answer *e);
const char *handover_check_server(const struct handover_server *e, uint64_t now);
const char *handover_check_listener(const struct handover_listener *e);
const char *handover_check_pool(const struct handover_pool *e, uint64_t now);

#endif
