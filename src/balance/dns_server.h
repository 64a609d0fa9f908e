/* One name server: sends questions to it and receives its answers, with c-ares on a libuv loop.
 * balance/dns.c chooses among servers; c-ares does not remember from one question to the next which
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
    DNS_TRY_REPLIED,   /* the server sent a message, perhaps a refusal */
    DNS_TRY_TIMED_OUT, /* no message in time */
    DNS_TRY_FAILED,    /* not sent, or the server is not reachable */
};

/* The reply is valid during the call. */
typedef void dns_try_done_fn(void *arg, struct dns_try *t, enum dns_try_end end,
                             const struct dns_reply *reply);

/* Returns 0 or -errno. */
int dns_server_open(struct dns_server **out, uv_loop_t *loop, const struct addr *at);
/* Cancels all tries. Memory is freed in the close callbacks of the loop. May be called from done().
 */
void dns_server_close(struct dns_server *s);

/* Asks once, by UDP, and by TCP if the answer is too long for UDP. done() is called once, and not
 * before dns_server_ask() returns. Returns NULL when out of memory. */
struct dns_try *dns_server_ask(struct dns_server *s, const char *name, enum dns_type type,
                               dns_try_done_fn *done, void *arg);
/* done() will not be called. The try must not be used any more. */
void dns_try_cancel(struct dns_try *t);

/* Reads the name servers from resolv.conf; 127.0.0.1 if it has none. Returns their number, and the
 * caller frees *out; or -errno. */
ssize_t dns_server_read_resolv_conf(struct addr **out);

#endif
