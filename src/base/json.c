#include "base/json.h"

#include <string.h>

#include "base/utf8.h"

static void put_ascii(FILE *out, unsigned char c)
{
    if (c == '"' || c == '\\')
        fprintf(out, "\\%c", c);
    else if (c < 0x20 || c == 0x7f)
        fprintf(out, "\\u%04x", c);
    else
        fputc(c, out);
}

void json_string(FILE *out, const char *text)
{
    if (text == NULL) {
        fputs("null", out);
        return;
    }
    size_t left = strlen(text);
    fputc('"', out);
    while (left > 0) {
        size_t n = utf8_length(text, left);
        if (n == 1)
            put_ascii(out, (unsigned char)*text);
        else if (n == 0)
            fputs("\\ufffd", out);
        else
            fwrite(text, 1, n, out);
        n = n == 0 ? 1 : n;
        text += n;
        left -= n;
    }
    fputc('"', out);
}
