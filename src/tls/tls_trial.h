/* A handshake with oneself, to find out whether a listener's TLS can work at all. For the control
 * thread. */
#ifndef ZPROXY_TLS_TLS_TRIAL_H
#define ZPROXY_TLS_TLS_TRIAL_H

#include <stdbool.h>

#define TLS_TRIAL_MAX 256

struct tls_server_context;

/* Whether a client with the defaults of OpenSSL that names this server can shake hands; its
 * certificate, and whether it offers ALPN, do not matter. If not, why is set to the reason. True
 * also if it cannot be tried. */
bool tls_trial_succeeds(const struct tls_server_context *c, const char *name,
                        char why[TLS_TRIAL_MAX]);

#endif
