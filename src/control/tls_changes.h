/* Files of TLS whose content has changed under the same name, such as renewed certificates. For the
 * control thread. */
#ifndef ZPROXY_CONTROL_TLS_CHANGES_H
#define ZPROXY_CONTROL_TLS_CHANGES_H

#include <stdio.h>

#include "config/config.h"

/* Prints a line for each file that both configurations name in the same place, and whose content
 * was another one when the contexts of `from` were made. Returns their number. Both have contexts:
 * tls_contexts_make(). */
size_t tls_changes_print(const struct config *from, const struct config *to, FILE *out);

#endif
