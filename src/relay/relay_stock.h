/* What flows of one worker share to move bytes: pipes, a buffer for copying, and counters. */
#ifndef ZPROXY_RELAY_RELAY_STOCK_H
#define ZPROXY_RELAY_RELAY_STOCK_H

#include <stdbool.h>
#include <stddef.h>

#include "base/stats.h"
#include "relay/pipe.h"
#include "tls/tls_side.h"

enum relay_path {
    RELAY_SPLICE,
    RELAY_COPY,
    RELAY_FILE, /* sendfile(2): file answers */
    RELAY_TLS,  /* through user space, because a side has TLS there */
    RELAY_PATHS,
};

enum relay_direction {
    RELAY_UP,   /* client to server */
    RELAY_DOWN, /* server to client */
    RELAY_DIRECTIONS,
};

/* Why bytes were copied with relay = splice. */
enum relay_fallback {
    RELAY_REFUSED, /* the kernel does not splice these sockets */
    RELAY_NO_PIPE, /* max_pipes or the descriptors are used up */
    RELAY_FALLBACKS,
};

struct relay_stock {
    bool splice;
    struct pipe_stock pipes;
    char *buffer;
    size_t buffer_size;
    struct counter bytes[RELAY_PATHS][RELAY_DIRECTIONS];
    struct counter fallbacks[RELAY_FALLBACKS];
    struct counter tls_kernel;                 /* TLS connections that the kernel has taken */
    struct counter tls_user[TLS_USER_REASONS]; /* those that stayed in user space */
    struct counter bad_records;                /* of TLS, that did not decrypt */
};

/* splice: move bytes by splice(2) where possible. quota as for pipe_stock_init(). Returns 0 or
 * -ENOMEM. */
int relay_stock_init(struct relay_stock *stock, bool splice, struct pipe_quota *quota,
                     int pipe_size);
void relay_stock_fini(struct relay_stock *stock);

/* Adopts a pipe with bytes that came by a handover, as pipe_adopt() does. The pipe may hold more
 * than the buffer, which then grows. Takes ownership of the descriptors, also on failure. */
struct pipe *relay_stock_adopt_pipe(struct relay_stock *stock, const int fd[2], uint32_t held);

/* Whether this program was built with splice, and this kernel can splice between TCP sockets. */
bool relay_stock_can_splice(void);

/* Counts a fallback, and logs the first one of the process. error: positive. */
void relay_stock_count_fallback(struct relay_stock *stock, enum relay_fallback why, int error);

/* Only logs: for a fallback that is known before the first byte. */
void relay_stock_log_fallback(enum relay_fallback why, const char *error);

/* To be called once, with the error that a side with TLS had: counts a record that did not decrypt.
 */
void relay_stock_count_error(struct relay_stock *stock, int error);

const char *relay_fallback_name(enum relay_fallback why);

#endif
