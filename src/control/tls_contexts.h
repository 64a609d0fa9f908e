/* The TLS contexts of a configuration: what its listeners and pools need for TLS. Errors name file
 * and line. For the control thread. */
#ifndef ZPROXY_CONTROL_TLS_CONTEXTS_H
#define ZPROXY_CONTROL_TLS_CONTEXTS_H

#include <stdio.h>

#include "config/config.h"

/* Reads the files and makes the contexts, which tls_contexts_free() frees. Returns 0; or -1 after
 * writing each error to `errors`. */
int tls_contexts_make(struct config *conf, FILE *errors);
void tls_contexts_free(struct config *conf);

/* The same for a configuration that is not put into force: nothing is logged. */
int tls_contexts_check(struct config *conf, FILE *errors);

#endif
