/* One name server: questions to it and its answers, by c-ares on a libuv loop. Who is asked next
 * when it does not answer is decided in balance/dns.c: c-ares would forget with each question which
 * server is dead.
 */
#ifndef ZPROXY_BALANCE_DNS_SERVER_H
#define ZPROXY_BALANCE_DNS_SERVER_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <uv.h>

#include "balance/dns_answer.h"
#include "base/addr.h"

struct dns_server;
struct dns_try;

/* How a try ended. */
enum dns_try_end {
    DNS_TRY_HEARD,     /* the server sent a message, if only to refuse */
    DNS_TRY_TIMED_OUT, /* no message in time */
    DNS_TRY_FAILED,    /* the question could not be sent */
};

/* The reply is valid during the call. */
typedef void dns_try_done_fn(void *arg, struct dns_try *t, enum dns_try_end end,
                             const struct dns_reply *reply);

/* Returns 0 or -errno. */
int dns_server_open(struct dns_server **out, uv_loop_t *loop, const struct addr *at);
/* Forgets what was asked; memory goes when the loop runs on. May be called from done(). */
void dns_server_close(struct dns_server *s);

/* Asks once, by UDP and, where the answer is too long for it, by TCP. done() is called once, never
 * before this returns. NULL when out of memory. */
struct dns_try *dns_server_ask(struct dns_server *s, const char *name, enum dns_type type,
                               dns_try_done_fn *done, void *arg);
/* done() is not called any more; the try is c-ares's from now on. */
void dns_try_cancel(struct dns_try *t);

/* The name servers of resolv.conf as it is now; 127.0.0.1 where it has none. *out is the caller's.
 * Returns how many, or -errno. */
ssize_t dns_server_read_resolv_conf(struct addr **out);

#endif
