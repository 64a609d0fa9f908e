#include "base/human.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define SECOND 1000u
#define MINUTE (60 * SECOND)
#define HOUR   (60 * MINUTE)
#define DAY    (24 * HOUR)

const char *human_bytes(uint64_t bytes, char buf[HUMAN_MAX])
{
    static const char units[] = "kmgtpe";
    if (bytes < 1024) {
        snprintf(buf, HUMAN_MAX, "%" PRIu64, bytes);
        return buf;
    }
    double value = (double)bytes / 1024;
    size_t unit = 0;
    for (; value >= 1023.95 && units[unit + 1] != '\0'; unit++) /* below 1024.0 when rounded */
        value /= 1024;
    snprintf(buf, HUMAN_MAX, "%.1f%c", value, units[unit]);
    return buf;
}

const char *human_rate(uint64_t bytes, char buf[HUMAN_MAX])
{
    char text[HUMAN_MAX];
    snprintf(buf, HUMAN_MAX, "%.*s/s", HUMAN_MAX - 3, human_bytes(bytes, text));
    return buf;
}

const char *human_count(uint64_t n, const char *noun, char buf[HUMAN_MAX])
{
    snprintf(buf, HUMAN_MAX, "%" PRIu64 " %.10s%s", n, noun, n == 1 ? "" : "s");
    return buf;
}

/* Writes the two largest units: "2h05m". */
static const char *print_pair(uint64_t ms, unsigned large, char large_name, unsigned small,
                              char small_name, char buf[HUMAN_MAX])
{
    snprintf(buf, HUMAN_MAX, "%" PRIu64 "%c%02" PRIu64 "%c", ms / large, large_name,
             ms % large / small, small_name);
    return buf;
}

const char *human_time(uint64_t ms, char buf[HUMAN_MAX])
{
    if (ms >= DAY)
        return print_pair(ms, DAY, 'd', HOUR, 'h', buf);
    if (ms >= HOUR)
        return print_pair(ms, HOUR, 'h', MINUTE, 'm', buf);
    if (ms >= MINUTE)
        return print_pair(ms, MINUTE, 'm', SECOND, 's', buf);
    if (ms >= SECOND)
        snprintf(buf, HUMAN_MAX, "%" PRIu64 ".%" PRIu64 "s", ms / SECOND, ms % SECOND / 100);
    else
        snprintf(buf, HUMAN_MAX, "%" PRIu64 "ms", ms);
    return buf;
}

const char *human_micros(uint64_t us, char buf[HUMAN_MAX])
{
    snprintf(buf, HUMAN_MAX, "%" PRIu64 ".%03" PRIu64 "ms", us / 1000, us % 1000);
    return buf;
}

const char *human_error(int error, char buf[HUMAN_ERROR_MAX])
{
    char own[HUMAN_ERROR_MAX];
    snprintf(buf, HUMAN_ERROR_MAX, "%s", strerror_r(error, own, sizeof own));
    if (buf[0] >= 'A' && buf[0] <= 'Z')
        buf[0] += 'a' - 'A';
    return buf;
}

const char *human_connection_error(int error, char buf[HUMAN_ERROR_MAX])
{
    return error == EPIPE ? "the peer closed the connection" : human_error(error, buf);
}
