/* A step of a check's dialogue: "send BYTES", "expect BYTES", "expect_not BYTES" or
 * "expect_regex ERE". */
#ifndef ZPROXY_CONFIG_STEP_H
#define ZPROXY_CONFIG_STEP_H

#include "base/value.h"
#include "config/config.h"

/* struct config_step. An ERE is an extended regular expression, regex(7), whose ^ and $ are the
 * ends of lines; \r \n \t \f \v and \xHH stand for bytes, other backslashes are the expression's
 * own. */
extern const struct value_kind value_kind_step;

/* The word that a step of this kind begins with. */
const char *step_word(enum config_step_kind kind);

#endif
