#include "balance/probe_quote.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

static const char cut[] = "...";

/* The length of the line at data, without its line end. A line end at the start is part of it. */
static size_t probe_quote_line_length(const char *data, size_t len)
{
    const char *end = len > 1 ? memchr(data + 1, '\n', len - 1) : NULL;
    if (end == NULL)
        return len;
    return (size_t)(end - data) - (end[-1] == '\r' ? 1 : 0);
}

/* Returns the number of characters written, at most 4. */
static size_t probe_quote_put_escaped(char *out, unsigned char c)
{
    static const char letters[] = "\"\"\\\\\nn\rr\tt"; /* pairs: byte, letter of its escape */
    for (size_t i = 0; i + 1 < sizeof letters; i += 2)
        if (c == (unsigned char)letters[i]) {
            out[0] = '\\';
            out[1] = letters[i + 1];
            return 2;
        }
    if (c >= ' ' && c < 0x7f) {
        out[0] = (char)c;
        return 1;
    }
    return (size_t)sprintf(out, "\\x%02x", c);
}

/* The line of data that begins at `line`. */
static const char *quote_at(char out[PROBE_QUOTE_MAX], const char *data, size_t len, size_t line)
{
    const size_t room = PROBE_QUOTE_MAX - sizeof cut - sizeof "\"" - 4; /* for one more */
    size_t shown = probe_quote_line_length(data + line, len - line);
    bool more = line + shown + sizeof "\r\n" - 1 < len;
    size_t at = (size_t)sprintf(out, "\"%s", line > 0 ? cut : "");
    size_t i = 0;
    for (; i < shown && at <= room; i++)
        at += probe_quote_put_escaped(out + at, (unsigned char)data[line + i]);
    sprintf(out + at, "%s\"", more || i < shown ? cut : "");
    return out;
}

const char *probe_quote(char out[PROBE_QUOTE_MAX], const void *data, size_t len)
{
    return quote_at(out, data, len, 0);
}

/* ---- choice of the line ---- */

/* The length of the common prefix. */
static size_t common_length(const char *a, size_t a_len, const char *b, size_t b_len)
{
    size_t n = 0;
    while (n < a_len && n < b_len && a[n] == b[n])
        n++;
    return n;
}

/* Redis and POP3: -ERR. SMTP, FTP and NNTP: 4yz and 5yz. Others: a word. */
static bool looks_like_error(const char *line, size_t len)
{
    static const char *const words[] = { "err", "fatal", "fail", "denied", "refused", "-" };
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (len >= strlen(words[i]) && strncasecmp(line, words[i], strlen(words[i])) == 0)
            return true;
    return len > 3 && (line[0] == '4' || line[0] == '5') && line[1] >= '0' && line[1] <= '9' &&
           line[2] >= '0' && line[2] <= '9' && (line[3] == ' ' || line[3] == '-');
}

/* Returns the offset of the line. */
static size_t probe_quote_find_line(const char *data, size_t len, const char *wanted,
                                    size_t wanted_len)
{
    size_t alike = wanted_len / 3 > 2 ? wanted_len / 3 : 2; /* a shorter prefix may be chance */
    size_t best = len;
    size_t wrong = len;
    for (size_t at = 0; at < len;) {
        const char *end = memchr(data + at, '\n', len - at);
        size_t n = end == NULL ? len - at : (size_t)(end - data) - at;
        size_t common = common_length(data + at, n, wanted, wanted_len);
        if (common >= alike) {
            alike = common + 1;
            best = at;
        }
        if (wrong == len && looks_like_error(data + at, n))
            wrong = at;
        at += n + 1;
    }
    if (best < len)
        return best;
    return wrong < len ? wrong : 0;
}

const char *probe_quote_line(char out[PROBE_QUOTE_MAX], const void *data, size_t len,
                             const void *wanted, size_t wanted_len)
{
    return quote_at(out, data, len, probe_quote_find_line(data, len, wanted, wanted_len));
}
