/* What a check says to a server, and what it wants to hear. */
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
    SCRIPT_EXPECT,     /* these bytes, wherever in what comes first */
    SCRIPT_EXPECT_NOT, /* an answer without these bytes */
    SCRIPT_EXPECT_REGEX,
    SCRIPT_EXPECT_STATUS, /* an HTTP status in the range of the script */
};

/* Bytes are the configuration's, or the script's request. */
struct script_step {
    enum script_kind kind;
    const char *data;
    size_t len;
    const regex_t *regex; /* SCRIPT_EXPECT_REGEX; data is its text */
};

struct script {
    struct addr to;
    struct script_step *step; /* in order; none: a connection is all that is wanted */
    size_t step_count;
    bool is_numbered; /* reasons name the step: there are several, and the user wrote them so */
    char *request;    /* of HTTP, otherwise NULL */
    const struct config_range *status; /* the configuration's */
    const struct config *secrets;      /* whose variables no reason shows; NULL: there are none */
    struct sock_source source;
    enum config_send_proxy header; /* in front of everything: that this is zproxy's own */
};

/* Where a server is checked: at its check_address (len 0: it has none), at its address with the
 * pool's check_port, or at its address. */
struct addr script_target(const struct config_pool *conf, const struct addr *server,
                          const struct addr *check_address);

/* The script for a server of a pool whose check is not CONFIG_CHECK_NONE. conf outlives it. Returns
 * 0 or -ENOMEM. */
int script_init(struct script *s, const struct config_pool *conf, const struct addr *server,
                const struct addr *check_address);
void script_fini(struct script *s);

#endif
