#include "balance/http_status.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

/* The pattern of a status line: d is a digit, s the first digit of a status, e the byte after the
 * status; all other characters match themselves. */
static const char line[] = "HTTP/1.d sdde";
#define LINE_LENGTH (sizeof line - 1)
#define STATUS_AT   9

static bool http_status_fits(char expected, char c)
{
    switch (expected) {
    case 'd':
        return c >= '0' && c <= '9';
    case 's':
        return c >= '1' && c <= '5';
    case 'e':
        return c == ' ' || c == '\r' || c == '\n';
    default:
        return c == expected;
    }
}

static int status_line(const char *data, size_t len)
{
    for (size_t i = 0; i < LINE_LENGTH && i < len; i++)
        if (!http_status_fits(line[i], data[i]))
            return -EPROTO;
    if (len < LINE_LENGTH)
        return 0;
    const char *status = data + STATUS_AT;
    return 100 * (status[0] - '0') + 10 * (status[1] - '0') + (status[2] - '0');
}

/* 101 is final: no further HTTP answer follows it. */
static bool is_interim(int status)
{
    return status >= 100 && status < 200 && status != 101;
}

/* Skips a part of a line. Returns the number of bytes; 0: more bytes are needed. */
static size_t http_status_skip(enum http_position *at, const char *data, size_t len)
{
    const char *end = NULL;
    switch (*at) {
    case HTTP_AT_STATUS:
        if (!is_interim(status_line(data, len)))
            return 0;
        *at = HTTP_WITHIN_LINE;
        return LINE_LENGTH - 1; /* the next byte may be the line end */
    case HTTP_AT_FIELD:
        if (len == 0 || (data[0] == '\r' && len == 1))
            return 0;
        if (data[0] == '\n' || (data[0] == '\r' && data[1] == '\n')) {
            *at = HTTP_AT_STATUS;
            return data[0] == '\n' ? 1 : 2;
        }
        *at = HTTP_WITHIN_LINE;
        return 1;
    case HTTP_WITHIN_LINE:
        end = memchr(data, '\n', len);
        if (end == NULL)
            return len;
        *at = HTTP_AT_FIELD;
        return (size_t)(end - data) + 1;
    }
    return 0;
}

size_t http_skip_interim(enum http_position *at, const char *data, size_t len)
{
    size_t passed = 0;
    size_t n = 0;
    while ((n = http_status_skip(at, data + passed, len - passed)) > 0)
        passed += n;
    return passed;
}

int http_status(const char *data, size_t len)
{
    enum http_position at = HTTP_AT_STATUS;
    size_t passed = http_skip_interim(&at, data, len);
    return at == HTTP_AT_STATUS ? status_line(data + passed, len - passed) : 0;
}
