#include "config/bytes.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"
#include "config/config.h"

/* What stands behind a backslash, and the byte it means. */
static const struct escape {
    char letter;
    char byte;
} escapes[] = {
    { 'r', '\r' }, { 'n', '\n' },  { 't', '\t' },  { 'a', '\a' }, { 'b', '\b' },
    { 'f', '\f' }, { 'v', '\v' },  { '\\', '\\' }, /* those behind it are written as themselves */
    { '"', '"' },  { '\'', '\'' },
};

static bool is_octal(char c)
{
    return c >= '0' && c <= '7';
}

/* --- Reading --- */

/* "xHH" */
static int read_hex(const char **text)
{
    const char *at = *text + 1;
    if (!isxdigit((unsigned char)at[0]) || !isxdigit((unsigned char)at[1]))
        return -1;
    const char digits[] = { at[0], at[1], '\0' };
    *text = at + 2;
    return (int)strtol(digits, NULL, 16);
}

/* "NNN", at least one digit */
static int read_octal(const char **text)
{
    int byte = 0;
    for (int i = 0; i < 3 && is_octal(**text); i++, ++*text)
        byte = byte * 8 + (**text - '0');
    return byte <= UINT8_MAX ? byte : -1;
}

/* Reads what follows a backslash and moves on. Returns the byte, or -1 where that is no escape. */
static int read_escape(const char **text)
{
    if (**text == 'x')
        return read_hex(text);
    if (is_octal(**text))
        return read_octal(text);
    for (size_t i = 0; i < sizeof escapes / sizeof *escapes; i++)
        if (**text == escapes[i].letter) {
            ++*text;
            return (unsigned char)escapes[i].byte;
        }
    return -1;
}

/* Fills in b->data, which has room for as many bytes as there are in text. */
static int read_bytes(struct config_bytes *b, const char *text, struct value_error *error)
{
    const char *all = text;
    while (*text != '\0') {
        const char *begin = text;
        int byte = (unsigned char)*text++;
        if (byte == '\t')
            return value_invalid(error, begin, "a tab, expected \\t");
        if (byte == '\\' && (byte = read_escape(&text)) == -1)
            return value_invalid(
                error, begin,
                "bad backslash, expected \\r \\n \\t \\\\ \\\" \\0, \\xHH with two "
                "hexadecimal digits, or another escape of C");
        b->data[b->len++] = (char)byte;
    }
    if (b->len > BYTES_MAX)
        return value_invalid(error, all, "too long, expected at most %d bytes", BYTES_MAX);
    return 0;
}

static int parse_bytes(const struct value *v, void *out, const char *text,
                       struct value_error *error)
{
    struct config_bytes b = { .data = NULL };
    int rc = 0;
    (void)v;
    if (*text == '\0')
        return value_invalid(error, text, "empty, expected text, with escapes as in PING\\r\\n");
    if ((rc = value_strdup(&b.data, text, error)) < 0)
        return rc;
    if ((rc = read_bytes(&b, text, error)) == 0)
        *(struct config_bytes *)out = b;
    else
        free(b.data);
    return rc;
}

/* --- Writing: never longer than it was read, so that it fits on lines again --- */

/* Whether a file would take the character for something else: white space at an end is dropped,
 * and behind white space comments begin. */
static bool bytes_is_stripped(const struct config_bytes *b, size_t i)
{
    if (b->data[i] == ' ')
        return i == 0 || i + 1 == b->len;
    return strchr("#;", b->data[i]) != NULL && (i == 0 || b->data[i - 1] == ' ');
}

/* How many bytes from the i-th on are a character that is written as it is. */
static size_t plain_length(const struct config_bytes *b, size_t i)
{
    unsigned char byte = (unsigned char)b->data[i];
    if (byte < ' ' || byte == 0x7f || byte == '\\' || bytes_is_stripped(b, i))
        return 0;
    return utf8_length(b->data + i, b->len - i);
}

static void print_escape(const struct config_bytes *b, size_t i, FILE *out)
{
    unsigned char byte = (unsigned char)b->data[i];
    bool digit_follows = i + 1 < b->len && is_octal(b->data[i + 1]);
    for (const struct escape *e = escapes; e->letter != '"'; e++)
        if (b->data[i] == e->byte) {
            fprintf(out, "\\%c", e->letter);
            return;
        }
    fprintf(out, byte < 0100 && !digit_follows ? "\\%o" : "\\x%02x", (unsigned)byte);
}

static void print_bytes(const struct value *v, const void *in, FILE *out)
{
    const struct config_bytes *b = in;
    (void)v;
    for (size_t i = 0; i < b->len;) {
        size_t n = plain_length(b, i);
        if (n == 0)
            print_escape(b, i++, out);
        fwrite(b->data + i, 1, n, out);
        i += n;
    }
}

static void free_bytes(void *value)
{
    struct config_bytes *b = value;
    free(b->data);
    *b = (struct config_bytes){ .data = NULL };
}

const struct value_kind value_kind_bytes = { parse_bytes, print_bytes, free_bytes };
