/* Telling text from bytes. */
#ifndef ZPROXY_BASE_UTF8_H
#define ZPROXY_BASE_UTF8_H

#include <stddef.h>
#include <stdio.h>

/* How many bytes the UTF-8 character at s takes, of the n > 0 that are there; 0 where they are not
 * UTF-8 (RFC 3629: no over-long forms, no surrogates, nothing above U+10FFFF). */
size_t utf8_length(const char *s, size_t n);

/* Writes text, whatever its bytes, as valid UTF-8: what is none becomes U+FFFD, and each single
 * byte is put() there. */
void utf8_print(const char *text, void (*put)(char c, FILE *out), FILE *out);

#endif
