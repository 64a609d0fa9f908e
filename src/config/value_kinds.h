/* Kinds of values that only a configuration has. */
#ifndef ZPROXY_CONFIG_VALUE_KINDS_H
#define ZPROXY_CONFIG_VALUE_KINDS_H

#include "base/value.h"

extern const struct value_kind value_kind_keepalive; /* struct config_keepalive */
extern const struct value_kind value_kind_busy_poll; /* uint64_t, us; 0 is auto */
extern const struct value_kind value_kind_rate;      /* struct config_rate; has a word for none */
/* struct log_target; its choice lists the targets that are allowed besides a path. */
extern const struct value_kind value_kind_log_target;

extern const char *const log_target_words[];
extern const char *const access_log_target_words[];

#endif
