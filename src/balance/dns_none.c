/* Replaces dns.c and dns_server.c in a build without c-ares: dns_open() fails. */
#include "balance/dns.h"

#include <assert.h>
#include <errno.h>

bool dns_is_built(void)
{
    return false;
}

const char *dns_version(void)
{
    return "no (not in this build)";
}

int dns_open(struct dns **out, uv_loop_t *loop, const struct addr *servers, size_t count)
{
    (void)out;
    (void)loop;
    (void)servers;
    (void)count;
    return -ENOSYS;
}

/* Never called: dns_open() makes no struct dns. */

void dns_close(struct dns *d)
{
    assert(d == NULL);
}

int dns_set_servers(struct dns *d, const struct addr *servers, size_t count)
{
    (void)d;
    (void)servers;
    (void)count;
    return -ENOSYS;
}

int dns_check_servers(struct dns *d)
{
    (void)d;
    return 0;
}

struct dns_question *dns_ask(struct dns *d, const char *name, enum dns_type type, dns_done_fn *done,
                             void *arg)
{
    (void)d;
    (void)name;
    (void)type;
    (void)done;
    (void)arg;
    return NULL;
}

void dns_cancel(struct dns_question *q)
{
    assert(q == NULL);
}
