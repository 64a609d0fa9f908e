#include "base/error_text.h"

#include <stdio.h>
#include <string.h>

const char *error_text(int error, char buf[ERROR_TEXT_MAX])
{
    char own[ERROR_TEXT_MAX];
    snprintf(buf, ERROR_TEXT_MAX, "%s", strerror_r(error, own, sizeof own));
    if (buf[0] >= 'A' && buf[0] <= 'Z')
        buf[0] += 'a' - 'A';
    return buf;
}
