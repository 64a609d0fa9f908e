/* What a [listen] section keeps over reloads: its number of sessions, its limits and its counters.
 * Found by the name of the section.
 */
#ifndef ZPROXY_SESSION_LISTENER_STATE_H
#define ZPROXY_SESSION_LISTENER_STATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "session/client_quota.h"
#include "session/conn_limit.h"
#include "session/end_counts.h"
#include "session/session_end.h"

/* What accept_watch has seen of a listener that does not accept; for the control thread. */
struct accept_watched {
    enum accept_reason reason; /* ACCEPT_OPEN: it accepts */
    uint64_t since;            /* ms */
    uint64_t last;             /* ms, when it was last seen paused */
    uint64_t pauses;           /* accept_state.pauses at that time */
};

/* What zproxyctl has set the answer of /healthz to; control/healthz.h. */
enum health_override {
    HEALTH_AUTO, /* not set */
    HEALTH_SET_OK,
    HEALTH_SET_FAIL,
};

enum tls_handshake_result {
    TLS_HANDSHAKE_FULL,
    TLS_HANDSHAKE_RESUMED, /* an earlier session was resumed */
    TLS_HANDSHAKE_FAILED,
    TLS_HANDSHAKE_TIMEOUT,
    TLS_HANDSHAKE_RESULTS,
};

enum tls_handshake_version {
    TLS_HANDSHAKE_UNKNOWN, /* none was agreed */
    TLS_HANDSHAKE_1_2,
    TLS_HANDSHAKE_1_3,
    TLS_HANDSHAKE_VERSIONS,
};

#define TLS_HANDSHAKES (TLS_HANDSHAKE_RESULTS * TLS_HANDSHAKE_VERSIONS)
static inline size_t tls_handshake_index(enum tls_handshake_result result,
                                         enum tls_handshake_version version)
{
    return (size_t)result * TLS_HANDSHAKE_VERSIONS + (size_t)version;
}

const char *tls_handshake_result_name(enum tls_handshake_result result);
const char *tls_handshake_version_name(enum tls_handshake_version version); /* "": unknown */
/* version: TLS_1_2, TLS_1_3; 0: none was agreed. */
enum tls_handshake_version tls_handshake_version_of(uint16_t version);

struct listener_state {
    LIST_ENTRY(listener_state) in_all;
    char *name;
    unsigned users; /* frontends that have a reference */
    struct conn_limit conn_limit;
    struct accept_state accept;
    struct accept_watched watched;
    struct client_quota *client_quota; /* of the configuration that was last in force; NULL: none */
    enum health_override health_override; /* for the control thread; likewise the next field */
    bool was_healthy;                     /* its clients have had a usable server or file */
    struct counter connections;
    struct counter refused[SESSION_ENDS];
    struct counter handshakes[TLS_HANDSHAKES];
    struct end_counts_list ended;
};

LIST_HEAD(listener_state_list, listener_state);

/* Returns a reference to the state of that name, which is made if the list does not have it; NULL
 * when out of memory. wake as for conn_limit_init(). Get and put are for the control thread. */
struct listener_state *listener_state_get(struct listener_state_list *all, const char *name,
                                          void (*wake)(void *arg), void *arg);
/* Sets the limits of the configuration in force: of sessions (0: no limit), and of each client. */
void listener_state_set_limits(struct listener_state *e, uint64_t max_connections,
                               struct client_quota *q);

/* Drops a reference; the last one frees the state. */
void listener_state_put(struct listener_state *e);

#endif
