/* Bytes written as text with the escapes of C. */
#ifndef ZPROXY_CONFIG_BYTES_H
#define ZPROXY_CONFIG_BYTES_H

#include "base/value.h"

/* struct config_bytes, of 1 to BYTES_MAX bytes: \r \n \t \a \b \f \v \\ \" \' \NNN (one to three
 * octal digits, \0 among them) \xHH (always two digits); any other character is itself. */
extern const struct value_kind value_kind_bytes;
#define BYTES_MAX 4096

#endif
