/* Whether bytes are one JSON text (RFC 8259), read strictly: valid UTF-8, and nothing behind it but
 * white space. */
#ifndef ZPROXY_TESTS_FUZZ_JSON_TEXT_H
#define ZPROXY_TESTS_FUZZ_JSON_TEXT_H

#include <stdbool.h>
#include <stddef.h>

#define JSON_TEXT_DEPTH 16 /* arrays and objects in each other; no answer has more */

bool json_text_is_valid(const char *text, size_t n);

#endif
