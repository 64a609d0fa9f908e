/* Questions to name servers, by c-ares on a libuv loop. Nothing here waits; reading resolv.conf and
 * the hosts file is all that it does with files.
 *
 * Names are taken as they are written: neither the search list nor ndots of resolv.conf applies, so
 * the same configuration means the same servers on every machine.
 */
#ifndef ZPROXY_BALANCE_DNS_H
#define ZPROXY_BALANCE_DNS_H

#include <stdbool.h>
#include <stddef.h>
#include <uv.h>

#include "balance/dns_answer.h"
#include "base/addr.h"

/* Whether this build can ask at all; where it cannot, dns_open() fails with -ENOSYS. */
bool dns_is_built(void);
/* The version of c-ares; "no" where there is none. */
const char *dns_version(void);

struct dns;
struct dns_question;

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

/* The reply is good during the call; who wants to keep the answer takes its records out. */
typedef void dns_done_fn(void *arg, struct dns_reply *reply);

/* Whether there is a resolv.conf that says who can be asked. Without one c-ares asks 127.0.0.1. */
bool dns_can_read_servers(void);

/* servers: who is asked, in this order; none: those of resolv.conf as it is now. Returns 0 or
 * -errno. */
int dns_open(struct dns **out, uv_loop_t *loop, const struct addr *servers, size_t count);

/* Forgets all questions without a call and closes all handles; memory goes when the loop runs on.
 * May be called from done(). */
void dns_close(struct dns *d);

/* Asks for the records of a name. done() is called once, never before this returns. NULL when out
 * of memory. */
struct dns_question *dns_ask(struct dns *d, const char *name, enum dns_type type, dns_done_fn *done,
                             void *arg);
/* done() is not called any more. */
void dns_forget(struct dns_question *q);

/* Calls found() for each address that the hosts file has for a name, and for those that "localhost"
 * has without it (RFC 6761). Returns how many there were. */
typedef void dns_found_fn(void *arg, const struct sockaddr *sa);
size_t dns_look_in_hosts(struct dns *d, const char *name, dns_found_fn *found, void *arg);

#endif
