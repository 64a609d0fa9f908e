/* The script of a check: where it connects, what it sends and what it expects. */
#ifndef ZPROXY_BALANCE_SCRIPT_H
#define ZPROXY_BALANCE_SCRIPT_H

#include <regex.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/addr.h"
#include "config/config.h"
#include "relay/sock.h"

enum script_kind {
    SCRIPT_SEND,
    SCRIPT_EXPECT,     /* these bytes anywhere in the answer */
    SCRIPT_EXPECT_NOT, /* some answer, and these bytes nowhere in it */
    SCRIPT_EXPECT_REGEX,
    SCRIPT_EXPECT_STATUS, /* an HTTP status in the script's range */
};

/* data points into the configuration, or at the script's request. */
struct script_step {
    enum script_kind kind;
    const char *data;
    size_t len;
    const regex_t *regex; /* for SCRIPT_EXPECT_REGEX; data is its source text */
};

struct script {
    struct addr to;
    struct script_step *step; /* none: the check only connects */
    size_t step_count;
    bool is_numbered;                  /* reasons name the step, since the user wrote steps */
    char *request;                     /* the HTTP request; NULL: none */
    const struct config_range *status; /* the configuration's */
    const struct config
        *secrets; /* its variables' values are masked in reasons; NULL: no variables */
    struct sock_source source;
    const struct config_tcp *tcp;   /* the pool's */
    struct tls_client_context *tls; /* the pool's; NULL: no TLS */
    const char *tls_host; /* the name that the certificate must be for; belongs to the script */
    enum config_send_proxy header; /* PROXY header, sent first: a connection of zproxy itself */
};

/* The address that is checked: check_address (len 0: none), or the server's address with the pool's
 * check_port, or the server's address. */
struct addr script_target(const struct config_pool *conf, const struct addr *server,
                          const struct addr *check_address);

/* Makes the script for a server of a pool with checks. host: the server's name in its line; NULL:
 * it has an address. conf outlives the script. Returns 0 or
 * -ENOMEM. */
int script_init(struct script *s, const struct config_pool *conf, const struct addr *server,
                const struct addr *check_address, const char *host);
void script_fini(struct script *s);

#endif
