#include "balance/http_status.h"

#include <errno.h>
#include <stdbool.h>

/* What the line begins with: d is a digit, s a digit that a status begins with, e what may follow
 * the status, all else is itself. */
static const char line[] = "HTTP/1.d sdde";
#define LINE_LENGTH (sizeof line - 1)
#define STATUS_AT   9

static bool fits(char expected, char c)
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
        if (!fits(line[i], data[i]))
            return -EPROTO;
    if (len < LINE_LENGTH)
        return 0;
    const char *status = data + STATUS_AT;
    return 100 * (status[0] - '0') + 10 * (status[1] - '0') + (status[2] - '0');
}

/* 101 is the last answer of HTTP on a connection. */
static bool is_interim(int status)
{
    return status >= 100 && status < 200 && status != 101;
}

/* Bytes up to the end of the empty line that ends the head; 0: it has not come yet. */
static size_t head_length(const char *data, size_t len)
{
    size_t line_at = 0;
    for (size_t i = 0; i < len; i++) {
        if (data[i] != '\n')
            continue;
        if (i == line_at || (i == line_at + 1 && data[line_at] == '\r'))
            return i + 1;
        line_at = i + 1;
    }
    return 0;
}

int http_status(const char *data, size_t len)
{
    int status = status_line(data, len);
    while (is_interim(status)) {
        size_t head = head_length(data, len);
        if (head == 0)
            return 0;
        data += head;
        len -= head;
        status = status_line(data, len);
    }
    return status;
}
