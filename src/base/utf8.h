/* UTF-8 in texts of unknown origin. */
#ifndef ZPROXY_BASE_UTF8_H
#define ZPROXY_BASE_UTF8_H

#include <stddef.h>
#include <stdio.h>

/* The length of the UTF-8 character at s, 1 to 4; n > 0 bytes may be read. 0: not valid UTF-8
 * (RFC 3629: no overlong forms, no surrogates, nothing above U+10FFFF). */
size_t utf8_length(const char *s, size_t n);

/* Writes the text as valid UTF-8: invalid bytes become U+FFFD. put() writes each ASCII character,
 * so that it can escape it; other characters are written as they are. */
void utf8_print(const char *text, void (*put)(char c, FILE *out), FILE *out);

#endif
