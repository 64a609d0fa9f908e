/* A certificate, for people: of listeners, or the client certificate of a pool. */
#ifndef ZPROXY_TLS_CERTIFICATE_INFO_H
#define ZPROXY_TLS_CERTIFICATE_INFO_H

#include <stdint.h>
#include <time.h>

struct certificate_info {
    const char *file;
    const char *names; /* with commas; "": none */
    const char *type;  /* "RSA", "ECDSA", "Ed25519" */
    time_t not_before;
    time_t not_after;
    uint64_t used; /* full handshakes with it; of a pool always 0 */
};

#endif
