#include "session/listener_state.h"

#include <stdlib.h>
#include <string.h>

#include "tls/tls_cipher.h"

const char *tls_handshake_result_name(enum tls_handshake_result result)
{
    static const char *const names[TLS_HANDSHAKE_RESULTS] = {
        [TLS_HANDSHAKE_FULL] = "full",
        [TLS_HANDSHAKE_RESUMED] = "resumed",
        [TLS_HANDSHAKE_FAILED] = "failed",
        [TLS_HANDSHAKE_TIMEOUT] = "timeout",
    };
    return names[result];
}

const char *tls_handshake_version_name(enum tls_handshake_version version)
{
    static const char *const names[TLS_HANDSHAKE_VERSIONS] = {
        [TLS_HANDSHAKE_UNKNOWN] = "",
        [TLS_HANDSHAKE_1_2] = "1.2",
        [TLS_HANDSHAKE_1_3] = "1.3",
    };
    return names[version];
}

enum tls_handshake_version tls_handshake_version_of(uint16_t version)
{
    switch (version) {
    case TLS_1_2:
        return TLS_HANDSHAKE_1_2;
    case TLS_1_3:
        return TLS_HANDSHAKE_1_3;
    }
    return TLS_HANDSHAKE_UNKNOWN;
}

static struct listener_state *listener_state_find(const struct listener_state_list *all,
                                                  const char *name)
{
    struct listener_state *e;
    LIST_FOREACH(e, all, in_all)
        if (strcmp(e->name, name) == 0)
            return e;
    return NULL;
}

static struct listener_state *listener_state_new(const char *name, void (*wake)(void *arg),
                                                 void *arg)
{
    struct listener_state *e = calloc(1, sizeof *e);
    if (e == NULL)
        return NULL;
    e->name = strdup(name);
    if (e->name == NULL) {
        free(e);
        return NULL;
    }
    conn_limit_init(&e->conn_limit, 0, wake, arg);
    conn_limit_set_reason(&e->conn_limit, ACCEPT_LISTENER_MAX_CONNECTIONS);
    return e;
}

struct listener_state *listener_state_get(struct listener_state_list *all, const char *name,
                                          void (*wake)(void *arg), void *arg)
{
    struct listener_state *e = listener_state_find(all, name);
    if (e == NULL) {
        e = listener_state_new(name, wake, arg);
        if (e == NULL)
            return NULL;
        LIST_INSERT_HEAD(all, e, in_all);
    }
    e->users++;
    return e;
}

void listener_state_set_limits(struct listener_state *e, uint64_t max_connections,
                               struct client_quota *q)
{
    struct client_quota *before = e->client_quota;
    conn_limit_set_max(&e->conn_limit, max_connections);
    e->client_quota = client_quota_ref(q);
    client_quota_unref(before);
}

void listener_state_put(struct listener_state *e)
{
    if (e == NULL || --e->users > 0)
        return;
    LIST_REMOVE(e, in_all);
    client_quota_unref(e->client_quota);
    free(e->name);
    free(e);
}
