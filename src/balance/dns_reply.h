/* What the answer of a name server comes to, in words where it is a failure. */
#ifndef ZPROXY_BALANCE_DNS_REPLY_H
#define ZPROXY_BALANCE_DNS_REPLY_H

#include <stddef.h>
#include <stdint.h>

#include "balance/dns_answer.h"

enum dns_outcome {
    DNS_ANSWERED, /* with at least one record */
    DNS_EMPTY,    /* there is no such name, or it has no such records */
    DNS_FAILED,   /* no answer, or none that makes sense */
};

struct dns_reply {
    enum dns_outcome outcome;
    const char *error; /* static text; NULL when answered */
    struct dns_answer answer;
};

/* The answer in it is the caller's. bytes: the message, or NULL; status: of c-ares. */
struct dns_reply dns_reply_read(enum dns_type type, int status, const uint8_t *bytes, size_t len);
struct dns_reply dns_reply_failure(const char *error);
extern const char dns_reply_timeout[];

#endif
