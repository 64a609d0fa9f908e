/* Errors of OpenSSL as a short text for logs and messages, and its version. From any thread. */
#ifndef ZPROXY_TLS_TLS_ERROR_H
#define ZPROXY_TLS_TLS_ERROR_H

#include "tls/tls_control.h"

#define TLS_ERROR_MAX 256

/* Empties OpenSSL's queue of errors of this thread, and writes its first error to buf: what an
 * alert of the peer says, or the reason. Returns buf. */
const char *tls_error_take(char buf[TLS_ERROR_MAX]);

/* The same. Returns ENOMEM if OpenSSL itself has failed, EBADMSG: a record did not decrypt, else
 * EPROTO. */
int tls_error_take_number(char buf[TLS_ERROR_MAX]);

/* Returns the text for an event that is a failure: buf, or a constant. */
const char *tls_error_control(const struct tls_control_reader *r, char buf[TLS_ERROR_MAX]);

/* The version of OpenSSL, or "no (not in this build)". */
const char *tls_library_version(void);

#endif
