/* What a check says of its script and of the server's answer. Values that came from variables of
 * the environment are replaced by the names of these. */
#ifndef ZPROXY_BALANCE_PROBE_TEXT_H
#define ZPROXY_BALANCE_PROBE_TEXT_H

#include <stddef.h>

#include "balance/probe_quote.h"
#include "balance/script.h"

/* All functions write to text, or return a constant text. len: at most PROBE_RECEIVE_MAX. */

/* The bytes, quoted. */
const char *probe_text_quote(const struct script *script, char text[PROBE_QUOTE_MAX],
                             const char *data, size_t len);

/* What the step expects: `"+PONG"`. */
#define PROBE_TEXT_EXPECTED_MAX (PROBE_QUOTE_MAX + 16)
const char *probe_text_expected(const struct script *script, const struct script_step *step,
                                char text[PROBE_TEXT_EXPECTED_MAX]);

/* The line of an answer that explains why it does not match the step. */
const char *probe_text_received(const struct script *script, const struct script_step *step,
                                char text[PROBE_QUOTE_MAX], const char *data, size_t len);

#endif
