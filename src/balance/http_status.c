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

int http_status(const char *data, size_t len)
{
    for (size_t i = 0; i < LINE_LENGTH && i < len; i++)
        if (!fits(line[i], data[i]))
            return -EPROTO;
    if (len < LINE_LENGTH)
        return 0;
    const char *status = data + STATUS_AT;
    return 100 * (status[0] - '0') + 10 * (status[1] - '0') + (status[2] - '0');
}
