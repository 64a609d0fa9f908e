#define CARES_NO_DEPRECATED
#include "balance/dns_reply.h"

#include <ares.h>
#include <errno.h>

const char dns_reply_timeout[] = "timeout, no answer in time";

struct dns_reply dns_reply_failure(const char *error)
{
    return (struct dns_reply){ .outcome = DNS_FAILED, .error = error };
}

static const char *error_of(int rc)
{
    switch (rc) {
    case -E2BIG:
        return "more records than can be servers";
    case -EMSGSIZE:
        return "an answer cut short";
    case -ENOMEM:
        return "out of memory";
    default:
        return "an answer that makes no sense";
    }
}

/* Where the server has said that it cannot answer, or there was no answer. */
static const char *error_of_status(int status)
{
    switch (status) {
    case ARES_EFORMERR:
        return "FORMERR, no name server gave an answer";
    case ARES_ESERVFAIL:
        return "SERVFAIL, no name server gave an answer";
    case ARES_ENOTIMP:
        return "NOTIMP, no name server gave an answer";
    case ARES_EREFUSED:
        return "REFUSED, no name server gave an answer";
    case ARES_ETIMEOUT:
        return dns_reply_timeout;
    case ARES_ECONNREFUSED:
        return "not reachable, no name server gave an answer";
    case ARES_EBADNAME:
        return "not a name";
    case ARES_ENOMEM:
        return "out of memory";
    case ARES_EBADRESP:
        return "an answer that makes no sense";
    default:
        return ares_strerror(status);
    }
}

/* The answer is the caller's. c-ares 1.18 looks at no more than the header. */
struct dns_reply dns_reply_read(enum dns_type type, int status, const uint8_t *bytes, size_t len)
{
    struct dns_reply r = { .outcome = DNS_ANSWERED };
    bool answered = status == ARES_SUCCESS || status == ARES_ENODATA || status == ARES_ENOTFOUND;
    if (bytes == NULL || !answered)
        return dns_reply_failure(error_of_status(status));
    int rc = dns_answer_parse(&r.answer, bytes, len, type);
    if (rc < 0)
        return dns_reply_failure(error_of(rc));
    if (r.answer.count == 0 && r.answer.bad_target_count > 0) {
        r.outcome = DNS_FAILED;
        r.error = "no target is the name of a host";
    } else if (r.answer.count == 0) {
        r.outcome = DNS_EMPTY;
        r.error = status == ARES_ENOTFOUND ? "NXDOMAIN, no such name" : "no such records";
    }
    return r;
}
