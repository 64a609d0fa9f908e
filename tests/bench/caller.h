/* How a load and its caller understand each other: arguments, and one line of results. */
#ifndef BENCH_CALLER_H
#define BENCH_CALLER_H

#include <netinet/in.h>
#include <stdint.h>

#include "hist.h"
#include "usage.h"

/* Prints "NAME: " and the message to standard error, and ends the program. NAME is the program's,
 * as in program_invocation_short_name(3). */
void die(const char *fmt, ...) __attribute__((noreturn, format(printf, 1, 2)));

unsigned parse_number(const char *text, unsigned max);

/* HOST:PORT+COUNT: consecutive ports; HOST+COUNT: consecutive addresses. */
struct range {
    struct sockaddr_in first;
    unsigned count;
};

struct range parse_range(char *text);

/* Parts of the line, which is one JSON object. The times of a histogram are in seconds there. */
void print_number(const char *key, double value);
void print_hist(const struct hist *h);
void print_usage(const struct usage *a, const struct usage *b, int core, int load_core);

/* Waits for a line of the caller; ends the program if the caller has ended. */
void await_line(void);

#endif
