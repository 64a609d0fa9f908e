#include "config/value_kinds.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"
#include "config/config.h"

/* --- Bytes --- */

/* The letter after a backslash, and its byte. */
static const struct escape {
    char letter;
    char byte;
} escapes[] = {
    { 'r', '\r' }, { 'n', '\n' },  { 't', '\t' },  { 'a', '\a' }, { 'b', '\b' },
    { 'f', '\f' }, { 'v', '\v' },  { '\\', '\\' }, /* from here on: never written escaped */
    { '"', '"' },  { '\'', '\'' },
};

static bool is_octal(char c)
{
    return c >= '0' && c <= '7';
}

/* Reads "xHH". Returns the byte, or -1. */
static int read_hex(const char **text)
{
    const char *at = *text + 1;
    if (!isxdigit((unsigned char)at[0]) || !isxdigit((unsigned char)at[1]))
        return -1;
    const char digits[] = { at[0], at[1], '\0' };
    *text = at + 2;
    return (int)strtol(digits, NULL, 16);
}

/* Reads one to three octal digits. Returns the byte, or -1. */
static int read_octal(const char **text)
{
    int byte = 0;
    for (int i = 0; i < 3 && is_octal(**text); i++, ++*text)
        byte = byte * 8 + (**text - '0');
    return byte <= UINT8_MAX ? byte : -1;
}

/* Reads what follows a backslash and advances *text. Returns the byte, or -1 if it is no escape. */
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

/* Reads text into b->data, which is as large as text. */
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

/* Whether reading a file would lose the character: it drops white space at the ends of a value, and
 * a comment begins at "#" or ";" after white space. */
static bool bytes_is_stripped(const struct config_bytes *b, size_t i)
{
    if (b->data[i] == ' ')
        return i == 0 || i + 1 == b->len;
    return strchr("#;", b->data[i]) != NULL && (i == 0 || b->data[i - 1] == ' ');
}

/* The length of the character at the i-th byte if it is written as it is; otherwise 0. */
static size_t plain_length(const struct config_bytes *b, size_t i)
{
    unsigned char byte = (unsigned char)b->data[i];
    if (byte < ' ' || byte == 0x7f || byte == '\\' || bytes_is_stripped(b, i))
        return 0;
    return utf8_length(b->data + i, b->len - i);
}

/* An escape is never longer than the one that was read, so that a printed value fits on its lines:
 * see config_print(). */
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

#define ERE_MAX 1024 /* bytes */

static const char *const step_words[] = {
    [CONFIG_STEP_SEND] = "send",
    [CONFIG_STEP_EXPECT] = "expect",
    [CONFIG_STEP_EXPECT_NOT] = "expect_not",
    [CONFIG_STEP_EXPECT_REGEX] = "expect_regex",
};
#define STEP_KINDS (sizeof step_words / sizeof *step_words)

static const struct value bytes_value = { .kind = &value_kind_bytes };

/* --- Regular expressions --- */

/* Writes a byte so that regcomp(3) takes it literally. Returns the number of bytes written. */
static size_t put_literal(char *out, char byte)
{
    size_t n = 0;
    if (strchr("\\^$.[]|()*+?{}", byte) != NULL)
        out[n++] = '\\';
    out[n++] = byte;
    return n;
}

/* Reads what follows a backslash and writes it as regcomp(3) takes it: the escapes of C that stand
 * for a byte, and those of regex(7). Returns false if it is neither. */
static bool put_escape(const char **text, char *out, size_t *n)
{
    static const char letters[] = "r\rn\nt\tf\fv\v"; /* pairs of a letter and its byte */
    const char *at = *text;
    for (size_t i = 0; i + 1 < sizeof letters; i += 2)
        if (*at == letters[i]) {
            out[(*n)++] = letters[i + 1];
            ++*text;
            return true;
        }
    if (*at == 'x') {
        const char digits[] = { at[1], at[1] == '\0' ? '\0' : at[2], '\0' };
        char byte = (char)strtol(digits, NULL, 16);
        if (!isxdigit((unsigned char)digits[0]) || !isxdigit((unsigned char)digits[1]) || byte == 0)
            return false;
        *n += put_literal(out + *n, byte);
        *text += 3;
        return true;
    }
    if (*at == '\0' || isdigit((unsigned char)*at))
        return false;
    out[(*n)++] = '\\';
    out[(*n)++] = *at;
    ++*text;
    return true;
}

/* Returns the expression as regcomp(3) takes it, which the caller frees; or NULL with *rc and
 * *error set. */
static char *translate(const char *text, int *rc, struct value_error *error)
{
    char *out = malloc(2 * strlen(text) + 1);
    size_t n = 0;
    const char *at = text;
    if (out == NULL) {
        *rc = value_no_memory(error);
        return NULL;
    }
    while (*at != '\0') {
        const char *begin = at;
        if (*at != '\\') {
            out[n++] = *at++;
            continue;
        }
        at++;
        if (!put_escape(&at, out, &n)) {
            *rc =
                value_invalid(error, begin,
                              "bad backslash, expected \\r \\n \\t, \\xHH with two hexadecimal "
                              "digits that are not 00, or one of regex(7) without back references");
            free(out);
            return NULL;
        }
    }
    out[n] = '\0';
    return out;
}

static int compile(struct config_step *s, const char *text, struct value_error *error)
{
    char why[160];
    int rc = 0;
    if (*text == '\0')
        return value_invalid(error, text,
                             "empty, expected an extended regular expression, as in "
                             "^role:(master|slave)");
    if (strlen(text) > ERE_MAX)
        return value_invalid(error, text, "too long, expected at most %d bytes", ERE_MAX);
    char *translated = translate(text, &rc, error);
    if (translated == NULL)
        return rc;
    s->regex = calloc(1, sizeof *s->regex);
    if (s->regex == NULL) {
        free(translated);
        return value_no_memory(error);
    }
    int failed = regcomp(s->regex, translated, REG_EXTENDED | REG_NOSUB | REG_NEWLINE);
    free(translated);
    if (failed == 0)
        return 0;
    regerror(failed, s->regex, why, sizeof why);
    free(s->regex);
    s->regex = NULL;
    return failed == REG_ESPACE ? value_no_memory(error)
                                : value_invalid(error, text,
                                                "%s, expected an extended regular expression, "
                                                "regex(7)",
                                                why);
}

/* --- Steps --- */

static void free_step(void *value)
{
    struct config_step *s = value;
    if (s->regex != NULL)
        regfree(s->regex);
    free(s->regex);
    s->regex = NULL;
    value_free(&bytes_value, &s->bytes);
}

static int parse_operand(struct config_step *s, const char *text, struct value_error *error)
{
    int rc = 0;
    if (s->kind != CONFIG_STEP_EXPECT_REGEX)
        return value_parse(&bytes_value, &s->bytes, text, error);
    if ((rc = compile(s, text, error)) == 0 &&
        (rc = value_strdup(&s->bytes.data, text, error)) == 0)
        s->bytes.len = strlen(text);
    return rc;
}

static int parse_step(const struct value *v, void *out, const char *text, struct value_error *error)
{
    struct config_step s = { .regex = NULL };
    size_t n = strcspn(text, " \t");
    size_t kind = 0;
    (void)v;
    while (kind < STEP_KINDS &&
           (strlen(step_words[kind]) != n || strncmp(text, step_words[kind], n) != 0))
        kind++;
    if (kind == STEP_KINDS)
        return value_invalid(error, text,
                             "unknown step, expected send BYTES, expect BYTES, expect_not BYTES or "
                             "expect_regex ERE");
    s.kind = (enum config_step_kind)kind;
    int rc = parse_operand(&s, text + n + strspn(text + n, " \t"), error);
    if (rc == 0)
        *(struct config_step *)out = s;
    else
        free_step(&s);
    return rc;
}

static void print_step(const struct value *v, const void *in, FILE *out)
{
    const struct config_step *s = in;
    (void)v;
    fprintf(out, "%s ", step_words[s->kind]);
    if (s->regex != NULL)
        fwrite(s->bytes.data, 1, s->bytes.len, out);
    else
        value_print(&bytes_value, &s->bytes, out);
}

const struct value_kind value_kind_step = { parse_step, print_step, free_step };

/* --- Ports: counts that are 0 while unset --- */

static int value_check_parse_port(const struct value *v, void *out, const char *text,
                                  struct value_error *error)
{
    return value_kind_count.parse(v, out, text, error);
}

static void print_port(const struct value *v, const void *in, FILE *out)
{
    value_kind_count.print(v, in, out);
}

static void free_port(void *value)
{
    *(uint64_t *)value = 0;
}

const struct value_kind value_kind_check_port = { value_check_parse_port, print_port, free_port };

/* --- Ranges --- */

/* Reads a number and advances *text. Returns false if there is none or if it is too large. */
static bool value_check_read_number(const char **text, unsigned *number)
{
    size_t digits = strspn(*text, "0123456789");
    if (digits == 0 || digits > 9)
        return false;
    *number = (unsigned)strtoul(*text, NULL, 10);
    *text += digits;
    return true;
}

/* Reads LOW or LOW-HIGH. */
static bool value_check_read_range(const char *text, struct config_range *r)
{
    if (!value_check_read_number(&text, &r->low))
        return false;
    r->high = r->low;
    if (*text == '\0')
        return true;
    return *text++ == '-' && value_check_read_number(&text, &r->high) && *text == '\0';
}

static int value_check_parse_range(const struct value *v, void *out, const char *text,
                                   struct value_error *error)
{
    struct config_range r;
    const char *wrong = "not understood";
    if (value_check_read_range(text, &r)) {
        if (r.low <= r.high && r.low >= v->min && r.high <= v->max) {
            *(struct config_range *)out = r;
            return 0;
        }
        wrong = r.low > r.high ? "in the wrong order" : "out of range";
    }
    return value_invalid(error, text, "%s, expected a number from %u to %u, or two as in 200-399",
                         wrong, (unsigned)v->min, (unsigned)v->max);
}

static void print_range(const struct value *v, const void *in, FILE *out)
{
    const struct config_range *r = in;
    (void)v;
    fprintf(out, "%u", r->low);
    if (r->high != r->low)
        fprintf(out, "-%u", r->high);
}

const struct value_kind value_kind_status_range = { value_check_parse_range, print_range, NULL };

/* --- Parts of HTTP requests: visible ASCII, which cannot end a line of the request --- */

static bool is_printable(const char *text)
{
    for (; *text != '\0'; text++)
        if (*text <= ' ' || *text >= 0x7f)
            return false;
    return true;
}

static int parse_http_path(const struct value *v, void *out, const char *text,
                           struct value_error *error)
{
    (void)v;
    if (text[0] != '/')
        return value_invalid(error, text, "expected a path that begins with /");
    if (!is_printable(text) || strchr(text, '#') != NULL)
        return value_invalid(error, text,
                             "not an HTTP path, expected visible ASCII, all other bytes and # "
                             "as %%HH");
    return value_strdup(out, text, error);
}

static int parse_http_host(const struct value *v, void *out, const char *text,
                           struct value_error *error)
{
    (void)v;
    if (*text == '\0' || !is_printable(text) || strpbrk(text, "/?#@,") != NULL)
        return value_invalid(error, text,
                             "not an HTTP host, expected one as in www.example or "
                             "www.example:8080");
    return value_strdup(out, text, error);
}

static void value_check_print_text(const struct value *v, const void *in, FILE *out)
{
    (void)v;
    fputs(*(char *const *)in, out);
}

static void value_check_free_text(void *value)
{
    char **text = value;
    free(*text);
    *text = NULL;
}

const struct value_kind value_kind_http_path = { parse_http_path, value_check_print_text,
                                                 value_check_free_text };
const struct value_kind value_kind_http_host = { parse_http_host, value_check_print_text,
                                                 value_check_free_text };
