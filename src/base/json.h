/* What JSON needs beside punctuation (RFC 8259). */
#ifndef ZPROXY_BASE_JSON_H
#define ZPROXY_BASE_JSON_H

#include <stdio.h>

/* Writes text as a string, quotes and all; what is not UTF-8 as replacement characters. NULL is
 * written as null. */
void json_string(FILE *out, const char *text);

#endif
