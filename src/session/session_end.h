/* Why a session ended: the words of the access log and of the metrics. */
#ifndef ZPROXY_SESSION_SESSION_END_H
#define ZPROXY_SESSION_SESSION_END_H

#include <stdbool.h>

enum session_end {
    SESSION_END_NONE, /* still going */
    SESSION_END_CLIENT_FIN,
    SESSION_END_SERVER_FIN,
    SESSION_END_CLIENT_RESET,
    SESSION_END_SERVER_RESET,
    SESSION_END_IDLE_TIMEOUT,
    SESSION_END_HALF_CLOSE_TIMEOUT,
    SESSION_END_SESSION_TIMEOUT,
    SESSION_END_CONNECT_FAILED,
    SESSION_END_CONNECT_TIMEOUT,
    SESSION_END_NO_SERVER,
    SESSION_END_QUEUE_TIMEOUT,
    SESSION_END_QUEUE_FULL,
    SESSION_END_DENIED,
    SESSION_END_RATE_LIMITED,
    SESSION_END_LIMIT,
    SESSION_END_PREREAD_TIMEOUT,
    SESSION_END_BAD_PROXY_HEADER,
    SESSION_END_UNTRUSTED_PROXY,
    SESSION_END_SERVER_DOWN,
    SESSION_END_ADMIN,
    SESSION_END_SHUTDOWN,
    SESSION_END_RESOURCE,
    SESSION_END_FILE_SENT,
    SESSION_END_FILE_FAILED,
    SESSION_END_REBALANCE,
    SESSION_END_TLS_FAILED,  /* the handshake with the client failed */
    SESSION_END_TLS_TIMEOUT, /* it was not complete in time */
    SESSION_END_TLS_REKEY,   /* a peer changed its TLS keys, and the kernel cannot follow */
    SESSION_ENDS,
};

const char *session_end_name(enum session_end why);

/* Whether both directions have ended by FIN and everything was delivered. */
bool session_end_is_orderly(enum session_end why);

/* Whether the connection was closed before anything was relayed. */
bool session_end_is_refusal(enum session_end why);

/* Whether the pool failed to serve the session, or to serve it to its end. */
bool session_end_is_failure(enum session_end why);

#endif
