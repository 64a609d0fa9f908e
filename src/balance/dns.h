/* Questions to name servers. For the control thread, on its loop. Nothing blocks, apart from
 * reading resolv.conf.
 *
 * A question goes to the first server that is not dead; to the next server if that one does not
 * answer for 1.5 s or refuses; and so on, in two rounds. A server that did not answer is dead until
 * it answers again: a question goes to dead servers last; every 5 s a question is also sent to a
 * dead server, in parallel with the regular one. The same question asked twice is sent once. A
 * question that is cancelled after it was sent stays, and its answer serves the next caller that
 * asks it.
 *
 * Names are absolute: the search list and ndots of resolv.conf do not apply, so a configuration
 * means the same servers on every machine.
 */
#ifndef ZPROXY_BALANCE_DNS_H
#define ZPROXY_BALANCE_DNS_H

#include <stdbool.h>
#include <stddef.h>
#include <uv.h>

#include "balance/dns_answer.h"
#include "base/addr.h"

/* Whether this build has c-ares. Without it dns_open() fails with -ENOSYS. */
bool dns_is_built(void);
/* The version of c-ares, or "no" and a reason. */
const char *dns_version(void);

struct dns;
struct dns_question;

/* The reply is valid during the call. */
typedef void dns_done_fn(void *arg, const struct dns_reply *reply);

/* servers: the name servers, in order of preference; count 0: those of resolv.conf. Returns 0 or
 * -errno. */
int dns_open(struct dns **out, uv_loop_t *loop, const struct addr *servers, size_t count);
/* Cancels all questions and closes all handles. Memory is freed in the close callbacks of the loop.
 * May be called from done(). */
void dns_close(struct dns *d);

/* Replaces the servers, as in dns_open(); questions that were sent are sent again to the new ones.
 * If resolv.conf is missing, as under chroot, the servers stay. Returns 1, 0 if the servers are the
 * same, or -errno and the servers stay. */
int dns_set_servers(struct dns *d, const struct addr *servers, size_t count);
/* Reads resolv.conf if it has changed; costs one stat(2). Returns as dns_set_servers(). */
int dns_check_servers(struct dns *d);

/* Asks for the records of a name. done() is called once, and not before dns_ask() returns. Returns
 * NULL when out of memory. */
struct dns_question *dns_ask(struct dns *d, const char *name, enum dns_type type, dns_done_fn *done,
                             void *arg);
/* done() will not be called. */
void dns_cancel(struct dns_question *q);

#endif
