#include "base/utf8.h"

#include <stdint.h>
#include <string.h>

/* By first byte: the length of the sequence and the bounds of its second byte. These bounds exclude
 * overlong forms and surrogates. */
static const struct lead {
    unsigned char first, last;
    unsigned char length;
    unsigned char low, high;
} leads[] = {
    { 0xc2, 0xdf, 2, 0x80, 0xbf }, { 0xe0, 0xe0, 3, 0xa0, 0xbf }, { 0xe1, 0xec, 3, 0x80, 0xbf },
    { 0xed, 0xed, 3, 0x80, 0x9f }, { 0xee, 0xef, 3, 0x80, 0xbf }, { 0xf0, 0xf0, 4, 0x90, 0xbf },
    { 0xf1, 0xf3, 4, 0x80, 0xbf }, { 0xf4, 0xf4, 4, 0x80, 0x8f },
};

static const struct lead *lead_of(unsigned char byte)
{
    for (size_t i = 0; i < sizeof leads / sizeof *leads; i++)
        if (byte >= leads[i].first && byte <= leads[i].last)
            return &leads[i];
    return NULL;
}

size_t utf8_length(const char *s, size_t n)
{
    const unsigned char *byte = (const unsigned char *)s;
    if (byte[0] < 0x80)
        return 1;
    const struct lead *lead = lead_of(byte[0]);
    if (lead == NULL || lead->length > n || byte[1] < lead->low || byte[1] > lead->high)
        return 0;
    for (size_t i = 2; i < lead->length; i++)
        if ((byte[i] & 0xc0) != 0x80)
            return 0;
    return lead->length;
}

void utf8_print(const char *text, void (*put)(char c, FILE *out), FILE *out)
{
    size_t left = strlen(text);
    while (left > 0) {
        size_t n = utf8_length(text, left);
        if (n == 1)
            put(*text, out);
        else if (n == 0)
            fputs("\xef\xbf\xbd", out);
        else
            fwrite(text, 1, n, out);
        n = n == 0 ? 1 : n;
        text += n;
        left -= n;
    }
}
