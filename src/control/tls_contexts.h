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

/* The same, but only for the errors. */
int tls_contexts_check(const struct config *conf, FILE *errors);

/* "usable", or why TLS is relayed in user space; NULL: no TLS that could be in the kernel. */
const char *tls_contexts_where(const struct config *conf);

/* Notes of -t about certificates that are not valid now. */
void tls_contexts_print_notes(const struct config *conf, FILE *out);

#endif
