/* Certificates and other files, for people: of listeners and pools. */
#ifndef ZPROXY_TLS_CERTIFICATE_INFO_H
#define ZPROXY_TLS_CERTIFICATE_INFO_H

#include <stddef.h>
#include <stdint.h>
#include <time.h>

struct certificate_info {
    const char *file;
    const char *names; /* of hosts, and addresses, with commas; "": none */
    const char *host;  /* the first name of a host, may be "*.example"; "": none */
    const char *type;  /* "RSA", "ECDSA", "Ed25519" */
    time_t not_before;
    time_t not_after;
    uint64_t used; /* full handshakes with it; of a pool always 0 */
};

/* What is wrong with the time of a certificate; NULL: nothing. */
static inline const char *certificate_info_why_invalid(const struct certificate_info *c, time_t now)
{
    return now >= c->not_after ? "has expired" : now < c->not_before ? "is not valid yet" : NULL;
}

/* A file that was read for TLS. */
struct tls_file {
    const char *key; /* of the configuration */
    const char *path;
    uint64_t digest; /* of its content: another one if that has changed */
    time_t until;    /* of a certificate: not_after; of other files 0 */
};
typedef void tls_file_fn(void *arg, const struct tls_file *file);

#endif
