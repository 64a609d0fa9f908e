#include "session/session_end.h"

const char *session_end_name(enum session_end why)
{
    static const char *const names[SESSION_ENDS] = {
        [SESSION_END_NONE] = "none",
        [SESSION_END_CLIENT_FIN] = "client_fin",
        [SESSION_END_SERVER_FIN] = "server_fin",
        [SESSION_END_CLIENT_RESET] = "client_reset",
        [SESSION_END_SERVER_RESET] = "server_reset",
        [SESSION_END_IDLE_TIMEOUT] = "idle_timeout",
        [SESSION_END_HALF_CLOSE_TIMEOUT] = "half_close_timeout",
        [SESSION_END_SESSION_TIMEOUT] = "session_timeout",
        [SESSION_END_CONNECT_FAILED] = "connect_failed",
        [SESSION_END_CONNECT_TIMEOUT] = "connect_timeout",
        [SESSION_END_NO_SERVER] = "no_server",
        [SESSION_END_QUEUE_TIMEOUT] = "queue_timeout",
        [SESSION_END_QUEUE_FULL] = "queue_full",
        [SESSION_END_DENIED] = "denied",
        [SESSION_END_RATE_LIMITED] = "rate_limited",
        [SESSION_END_LIMIT] = "limit",
        [SESSION_END_PREREAD_TIMEOUT] = "preread_timeout",
        [SESSION_END_BAD_PROXY_HEADER] = "bad_proxy_header",
        [SESSION_END_UNTRUSTED_PROXY] = "untrusted_proxy",
        [SESSION_END_SERVER_DOWN] = "server_down",
        [SESSION_END_ADMIN] = "admin",
        [SESSION_END_SHUTDOWN] = "shutdown",
        [SESSION_END_RESOURCE] = "resource",
        [SESSION_END_FILE_SENT] = "file_sent",
        [SESSION_END_FILE_FAILED] = "file_failed",
        [SESSION_END_REBALANCE] = "rebalance",
        [SESSION_END_TLS_FAILED] = "tls_failed",
        [SESSION_END_TLS_TIMEOUT] = "tls_timeout",
        [SESSION_END_TLS_REKEY] = "tls_rekey",
    };
    return names[why];
}

bool session_end_is_orderly(enum session_end why)
{
    return why == SESSION_END_CLIENT_FIN || why == SESSION_END_SERVER_FIN ||
           why == SESSION_END_FILE_SENT;
}

bool session_end_is_refusal(enum session_end why)
{
    switch (why) {
    case SESSION_END_CONNECT_FAILED:
    case SESSION_END_CONNECT_TIMEOUT:
    case SESSION_END_NO_SERVER:
    case SESSION_END_QUEUE_TIMEOUT:
    case SESSION_END_QUEUE_FULL:
    case SESSION_END_DENIED:
    case SESSION_END_RATE_LIMITED:
    case SESSION_END_LIMIT:
    case SESSION_END_PREREAD_TIMEOUT:
    case SESSION_END_BAD_PROXY_HEADER:
    case SESSION_END_UNTRUSTED_PROXY:
    case SESSION_END_TLS_FAILED:
    case SESSION_END_TLS_TIMEOUT:
    case SESSION_END_RESOURCE:
        return true;
    default:
        return false;
    }
}

bool session_end_is_failure(enum session_end why)
{
    switch (why) {
    case SESSION_END_SERVER_RESET:
    case SESSION_END_CONNECT_FAILED:
    case SESSION_END_CONNECT_TIMEOUT:
    case SESSION_END_NO_SERVER:
    case SESSION_END_QUEUE_TIMEOUT:
    case SESSION_END_QUEUE_FULL:
    case SESSION_END_SERVER_DOWN:
    case SESSION_END_RESOURCE:
    case SESSION_END_FILE_FAILED:
        return true;
    default:
        return false;
    }
}
