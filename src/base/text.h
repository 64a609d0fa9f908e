/* Small operations on texts. */
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

/* The value of a hexadecimal digit; -1: c is none. */
static inline int text_hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

#endif
