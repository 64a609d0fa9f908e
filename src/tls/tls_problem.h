/* Why a context of TLS cannot be made: what is wrong with which key of a section. The control
 * thread prints it with file and line. */
#ifndef ZPROXY_TLS_TLS_PROBLEM_H
#define ZPROXY_TLS_TLS_PROBLEM_H

#include <stddef.h>

struct tls_problems {
    /* item: the index of the value, if the key is repeated */
    void (*report)(void *arg, const char *key, size_t item, const char *text);
    void *arg;
};

/* Returns -1. */
static inline int tls_problem(const struct tls_problems *p, const char *key, size_t item,
                              const char *text)
{
    p->report(p->arg, key, item, text);
    return -1;
}

#endif
