/* Whether the kernel may have the TLS of a configuration: errors, notes and the event tls_kernel of
 * the log. For the control thread. */
#ifndef ZPROXY_CONTROL_TLS_KERNEL_REPORT_H
#define ZPROXY_CONTROL_TLS_KERNEL_REPORT_H

#include <stdio.h>

#include "config/config.h"

/* Whether each tls_kernel = yes can be had. Returns 0; or -1 after writing each error to `errors`.
 * Changes nothing. */
int tls_kernel_report_check(const struct config *conf, FILE *errors);

/* The same for a configuration that is put into force: its connections use what was found, which is
 * logged when it changes. */
int tls_kernel_report_update(const struct config *conf, FILE *errors);

/* "usable", or why TLS is relayed in user space; NULL: no TLS that could be in the kernel. */
const char *tls_kernel_report_where(const struct config *conf);

/* A note of -t, if TLS will be relayed in user space. */
void tls_kernel_report_print_note(const struct config *conf, FILE *out);

#endif
