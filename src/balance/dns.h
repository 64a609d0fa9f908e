/* Questions to name servers. Nothing here waits; reading resolv.conf is all that it does with
 * files.
 *
 * Each question goes to the first server that is not known to be dead, to the next one when that
 * says nothing for a while or cannot answer, and so on, twice round. A server that said nothing is
 * dead until it answers again: it is tried last, and once in a while beside the one that is asked.
 * The same question asked twice is one on the way; a question forgotten while it is on its way goes
 * on, and the next one to ask it gets its answer.
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

/* The reply is good during the call. */
typedef void dns_done_fn(void *arg, const struct dns_reply *reply);

/* servers: who is asked, in this order; none: those of resolv.conf as it is now. Returns 0 or
 * -errno. */
int dns_open(struct dns **out, uv_loop_t *loop, const struct addr *servers, size_t count);
/* Forgets all questions without a call and closes all handles; memory goes when the loop runs on.
 * May be called from done(). */
void dns_close(struct dns *d);

/* Other servers than before, likewise; questions on their way are asked of these. Without a
 * resolv.conf to be read the servers stay (chroot may hide it). Returns 1, 0 when they are the
 * same, or -errno: then they are those of before. */
int dns_set_servers(struct dns *d, const struct addr *servers, size_t count);
/* Costs one stat(2), and reads resolv.conf when it is not what was read last. Returns as above. */
int dns_check_servers(struct dns *d);

/* Asks for the records of a name. done() is called once, never before this returns. NULL when out
 * of memory. */
struct dns_question *dns_ask(struct dns *d, const char *name, enum dns_type type, dns_done_fn *done,
                             void *arg);
/* done() is not called any more. */
void dns_cancel(struct dns_question *q);

#endif
