/* The answer of a name server to one question: its bytes to records (RFC 1035, 2782, 3596).
 *
 * The bytes come from outside and may be anything: nothing in them is believed before it has been
 * found to lie within the message. A pure function; who asks is balance/dns.h.
 */
#ifndef ZPROXY_BALANCE_DNS_ANSWER_H
#define ZPROXY_BALANCE_DNS_ANSWER_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DNS_CLASS_IN    1
#define DNS_RECORDS_MAX 1024 /* of an answer; more are no servers but a mistake */
#define DNS_NAME_MAX    254  /* as text without the last dot, and NUL */
#define DNS_TTL_NONE    UINT32_MAX

enum dns_type {
    DNS_A = 1,
    DNS_CNAME = 5,
    DNS_SOA = 6,
    DNS_AAAA = 28,
    DNS_SRV = 33,
};

/* Where a service is (RFC 2782). */
struct dns_service {
    uint16_t priority; /* the lowest is asked first */
    uint16_t weight;
    uint16_t port;
    char target[DNS_NAME_MAX]; /* "" is the root: there is no such service */
};

/* One record, as the type of the answer says. */
union dns_record {
    struct in_addr a;
    struct in6_addr aaaa;
    struct dns_service srv;
};

/* An address of a host that the additional records of an answer tell. */
struct dns_extra {
    char host[DNS_NAME_MAX];
    enum dns_type type; /* DNS_A or DNS_AAAA */
    uint32_t ttl;
    union dns_record record;
};

struct dns_answer {
    enum dns_type type;
    uint32_t ttl; /* seconds that all of it holds; the aliases that led here are counted */
    size_t count;
    union dns_record *record; /* count of them, in the order of the message */
    uint32_t negative_ttl; /* seconds that "there is nothing" holds (RFC 2308), or DNS_TTL_NONE */

    /* Of services: */
    size_t bad_target_count; /* records left out, since their target is not the name of a host */
    char bad_target[DNS_NAME_MAX]; /* the target of the first one, with "?" for what is no text */
    struct dns_extra *extra;
    size_t extra_count;
};

enum dns_outcome {
    DNS_ANSWERED, /* with at least one record */
    DNS_EMPTY,    /* there is no such name, or it has no such records */
    DNS_FAILED,   /* no answer, or none that can be used */
};

/* What a question came to. */
struct dns_reply {
    enum dns_outcome outcome;
    const char *error; /* static text; NULL if answered */
    struct dns_answer answer;
};

/* Reads the records that answer the message's own question: those of the name asked for, or of the
 * one that its aliases (CNAME) lead to. type: DNS_A, DNS_AAAA or DNS_SRV; it must be the one asked
 * for. Returns 0 (dns_answer_free() is the caller's; count may be 0), -EBADMSG when the message is
 * no such answer, -EMSGSIZE when it was cut short (TC), -E2BIG when it has more records than
 * DNS_RECORDS_MAX, or -ENOMEM. */
int dns_answer_parse(struct dns_answer *a, const uint8_t *message, size_t len, enum dns_type type);
void dns_answer_free(struct dns_answer *a);

/* The addresses of a host, by its family, among the additional records. Returns how many there are;
 * out is the caller's then. -ENOMEM. */
int dns_answer_extra(const struct dns_answer *a, const char *host, enum dns_type type,
                     struct dns_answer *out);
/* Copies the records, not what belongs to services alone. Returns 0 or -ENOMEM. */
int dns_answer_copy(struct dns_answer *to, const struct dns_answer *from);

#endif
