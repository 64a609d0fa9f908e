/* Notes of -t about TLS: where it is relayed, which certificates are not valid now, where no
 * handshake can succeed, which servers are not verified. For the control thread. */
#ifndef ZPROXY_CONTROL_TLS_NOTES_H
#define ZPROXY_CONTROL_TLS_NOTES_H

#include <stdio.h>

#include "config/config.h"

/* The configuration has its contexts: tls_contexts_check(). */
void tls_notes_print(const struct config *conf, FILE *out);

#endif
