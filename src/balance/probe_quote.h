/* What a server has said, as the reason of a check shows it. */
#ifndef ZPROXY_BALANCE_PROBE_QUOTE_H
#define ZPROXY_BALANCE_PROBE_QUOTE_H

#include <stddef.h>

#define PROBE_QUOTE_MAX 80

/* Writes the first line of data, without its end, between double quotes and with C escapes; "..."
 * stands for what was left out. Returns out. */
const char *probe_quote(char out[PROBE_QUOTE_MAX], const void *data, size_t len);

/* The same with the line that tells why `wanted` is not there: of several lines the one that begins
 * most like it, as role:slave does where role:master is wanted; otherwise the first that looks like
 * an error; otherwise the first. wanted may be empty. */
const char *probe_quote_line(char out[PROBE_QUOTE_MAX], const void *data, size_t len,
                             const void *wanted, size_t wanted_len);

#endif
