/* Parses the answer of a name server to one question (RFC 1035, 2782, 3596).
 *
 * The message is untrusted: each length and offset in it is checked against the end of the message.
 * Pure functions; balance/dns.h sends the questions.
 */
#ifndef ZPROXY_BALANCE_DNS_ANSWER_H
#define ZPROXY_BALANCE_DNS_ANSWER_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DNS_CLASS_IN    1
#define DNS_RECORDS_MAX 1024 /* of an answer; more are an error */
#define DNS_NAME_MAX    254  /* as text without the last dot, with NUL */
#define DNS_TTL_NONE    UINT32_MAX

enum dns_type {
    DNS_A = 1,
    DNS_CNAME = 5,
    DNS_SOA = 6,
    DNS_AAAA = 28,
    DNS_SRV = 33,
};

/* An SRV record (RFC 2782). */
struct dns_service {
    uint16_t priority; /* clients prefer the lowest */
    uint16_t weight;
    uint16_t port;
    char target[DNS_NAME_MAX]; /* "" is the root: the service does not exist */
};

/* A record of the type of the answer. */
union dns_record {
    struct in_addr a;
    struct in6_addr aaaa;
    struct dns_service srv;
};

/* An address of a host, from the additional records of an answer. */
struct dns_extra {
    char host[DNS_NAME_MAX];
    enum dns_type type; /* DNS_A or DNS_AAAA */
    uint32_t ttl;
    union dns_record record;
};

struct dns_answer {
    enum dns_type type;
    uint32_t ttl; /* seconds, the lowest of the records and of the aliases before them */
    size_t count;
    union dns_record *record; /* in the order of the message */
    uint32_t negative_ttl; /* seconds, of an answer without records (RFC 2308); or DNS_TTL_NONE */

    /* SRV only: */
    size_t bad_target_count;       /* records omitted, since their target is no host name */
    char bad_target[DNS_NAME_MAX]; /* the first such target; "?" replaces other characters */
    struct dns_extra *extra;
    size_t extra_count;
};

enum dns_outcome {
    DNS_ANSWERED, /* with at least one record */
    DNS_EMPTY,    /* no such name, or no such records */
    DNS_FAILED,   /* no answer, or none that can be used */
};

/* The result of a question. */
struct dns_reply {
    enum dns_outcome outcome;
    const char *error; /* static text; NULL if answered */
    struct dns_answer answer;
};

/* Reads the records that answer the question in the message: of the name in it, or of the name that
 * its aliases (CNAME) lead to. type: DNS_A, DNS_AAAA or DNS_SRV, the type in the question. Returns
 * 0 (the caller calls dns_answer_free(); count may be 0), -EBADMSG if the message is no such
 * answer, -EMSGSIZE if it is truncated (TC), -E2BIG if it has more than DNS_RECORDS_MAX records, or
 * -ENOMEM.
 */
int dns_answer_parse(struct dns_answer *a, const uint8_t *message, size_t len, enum dns_type type);
void dns_answer_free(struct dns_answer *a);

/* Finds the addresses of a host among the additional records. type: DNS_A or DNS_AAAA. Returns
 * their number, and the caller frees *out; or -ENOMEM. */
int dns_answer_extra(const struct dns_answer *a, const char *host, enum dns_type type,
                     struct dns_answer *out);
/* Copies the records, but not the additional ones. Returns 0 or -ENOMEM. */
int dns_answer_copy(struct dns_answer *to, const struct dns_answer *from);

#endif
