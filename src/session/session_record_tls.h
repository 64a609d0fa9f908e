/* The TLS of a side as a handover sends it, where the kernel has the connection. A session with
 * such sides has an item for each of them, beside those of session_record.h. */
#ifndef ZPROXY_SESSION_SESSION_RECORD_TLS_H
#define ZPROXY_SESSION_SESSION_RECORD_TLS_H

#include <stdbool.h>
#include <stdint.h>

#include "session/session.h"
#include "tls/tls_kernel.h"
#include "tls/tls_stream.h"

#define SESSION_RECORD_CIPHER_NAME 64
#define SESSION_RECORD_PEER_NAME   TLS_STREAM_NAME_MAX

/* The sides of a session, in session_progress.tls_sides, in the order in which they are sent. */
enum {
    SESSION_RECORD_TLS_CLIENT = 1 << 0,
    SESSION_RECORD_TLS_SERVER = 1 << 1,
};

struct session_tls {
    uint64_t id; /* of the session */
    uint8_t side;
    uint8_t resumed;
    uint8_t has_peer; /* otherwise peer is empty */
    struct tls_kernel kernel;
    char cipher[SESSION_RECORD_CIPHER_NAME];
    char peer[SESSION_RECORD_PEER_NAME];
};

/* Which sides have TLS in the kernel. */
uint8_t session_record_tls_sides(const struct session *s);

/* For the worker's thread. side: one of them. */
void session_record_tls(const struct session *s, uint8_t side, struct session_tls *tls);

/* Checks an item for a side of s, which is restored. Returns NULL, or what is wrong. */
const char *session_record_check_tls(const struct session *s, const struct session_tls *tls);

/* Sets what was checked. Returns 0 or -ENOMEM. */
int session_record_set_tls(struct session *s, const struct session_tls *tls);

#endif
