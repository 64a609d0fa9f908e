/* Copies of texts into fixed-size fields: a header of its own, for one function. */
#ifndef ZPROXY_BASE_TEXT_H
#define ZPROXY_BASE_TEXT_H

#include <stddef.h>
#include <string.h>

/* Copies the text into size > 0 bytes and terminates it. A longer text is cut. */
static inline void text_copy(char *to, size_t size, const char *from)
{
    size_t len = strnlen(from, size - 1);
    memcpy(to, from, len);
    to[len] = '\0';
}

#endif
