#include "caller.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void die(const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    fprintf(stderr, "%s: ", program_invocation_short_name);
    vfprintf(stderr, fmt, ap);
    fputc('\n', stderr);
    va_end(ap);
    exit(1);
}

unsigned parse_number(const char *text, unsigned max)
{
    char *end;
    errno = 0;
    unsigned long v = strtoul(text, &end, 10);
    if (errno != 0 || end == text || *end != '\0' || v > max)
        die("%s: a number up to %u was expected", text, max);
    return (unsigned)v;
}

struct range parse_range(char *text)
{
    struct range r = { .count = 1 };
    char *plus = strchr(text, '+'), *colon = strchr(text, ':');
    if (plus != NULL) {
        *plus = '\0';
        r.count = parse_number(plus + 1, 65535);
    }
    if (colon != NULL) {
        *colon = '\0';
        r.first.sin_port = htons((uint16_t)parse_number(colon + 1, 65535));
    }
    r.first.sin_family = AF_INET;
    if (inet_pton(AF_INET, text, &r.first.sin_addr) != 1 || r.count == 0)
        die("%s: IPV4-ADDRESS[:PORT][+COUNT] was expected", text);
    return r;
}

void print_number(const char *key, double value)
{
    printf("\"%s\": %.9g, ", key, value);
}

void print_hist(const struct hist *h)
{
    print_number("count", (double)h->count);
    print_number("p50", (double)hist_quantile(h, 0.5) / 1e9);
    print_number("p99", (double)hist_quantile(h, 0.99) / 1e9);
    print_number("p999", (double)hist_quantile(h, 0.999) / 1e9);
    print_number("max", (double)h->max / 1e9);
}

void print_usage(const struct usage *a, const struct usage *b, int core, int load_core)
{
    double seconds = (double)(b->when - a->when) / 1e9;
    print_number("cpu", (double)(b->tested - a->tested) / 1e9);
    print_number("load_cpu", (double)(b->load - a->load) / 1e9);
    if (core >= 0)
        print_number("core", seconds - (double)(b->idle - a->idle) / 1e9);
    if (load_core >= 0)
        print_number("load_core", seconds - (double)(b->load_idle - a->load_idle) / 1e9);
    printf("\"seconds\": %.9g}\n", seconds);
    fflush(stdout);
}

void await_line(void)
{
    char c;
    ssize_t n;
    while ((n = read(STDIN_FILENO, &c, 1)) == 1 && c != '\n')
        ;
    if (n != 1)
        exit(0); /* the caller is gone */
}
