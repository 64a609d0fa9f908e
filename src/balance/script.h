/* What a check says to a server, and what it wants to hear. */
#ifndef ZPROXY_BALANCE_SCRIPT_H
#define ZPROXY_BALANCE_SCRIPT_H

#include <stddef.h>

#include "base/addr.h"
#include "config/config.h"
#include "relay/sock.h"

enum script_wants {
    SCRIPT_WANTS_NOTHING, /* a connection that takes what is sent */
    SCRIPT_WANTS_BYTES,   /* these, wherever in what comes first */
    SCRIPT_WANTS_STATUS,  /* an HTTP status in this range */
};

struct script {
    struct addr to;
    char *send; /* NULL: nothing */
    size_t send_len;
    enum script_wants wants;
    const struct config_bytes *bytes;  /* the configuration's */
    const struct config_range *status; /* likewise */
    struct sock_source source;
    enum config_send_proxy header; /* in front of everything: that this is zproxy's own */
};

/* Where a server is checked: at its check_address (len 0: it has none), at its address with the
 * pool's check_port, or at its address. */
struct addr script_target(const struct config_pool *conf, const struct addr *server,
                          const struct addr *check_address);

/* The script for a server of a pool whose check is not CONFIG_CHECK_NONE. conf outlives it. Returns
 * 0 or -ENOMEM. */
int script_make(struct script *s, const struct config_pool *conf, const struct addr *server,
                const struct addr *check_address);
void script_free(struct script *s);

#endif
