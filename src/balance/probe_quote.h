/* Quotes of a server's answer, for the reason of a check. */
#ifndef ZPROXY_BALANCE_PROBE_QUOTE_H
#define ZPROXY_BALANCE_PROBE_QUOTE_H

#include <stddef.h>

#define PROBE_QUOTE_MAX 80

/* Writes the first line of data, without its line end, between double quotes and with C escapes.
 * "..." marks omitted text. Returns out. */
const char *probe_quote(char out[PROBE_QUOTE_MAX], const void *data, size_t len);

/* The same for the line that explains why `wanted` is missing: the line with the longest common
 * prefix, as role:slave for role:master; otherwise the first line that looks like an error;
 * otherwise the first line. wanted may be empty. */
const char *probe_quote_line(char out[PROBE_QUOTE_MAX], const void *data, size_t len,
                             const void *wanted, size_t wanted_len);

#endif
