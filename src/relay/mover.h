/* What flows of one worker share to move bytes: pipes, a buffer for copying, and counters. */
#ifndef ZPROXY_RELAY_MOVER_H
#define ZPROXY_RELAY_MOVER_H

#include <stdbool.h>
#include <stddef.h>

#include "base/stats.h"
#include "relay/pipe.h"

enum mover_path {
    MOVER_SPLICE,
    MOVER_COPY,
    MOVER_FILE, /* sendfile(2): file answers */
    MOVER_PATHS,
};

enum mover_direction {
    MOVER_UP,   /* client to server */
    MOVER_DOWN, /* server to client */
    MOVER_DIRECTIONS,
};

/* Why bytes were copied although relay = splice. */
enum mover_fallback {
    MOVER_REFUSED, /* the kernel does not splice these sockets */
    MOVER_NO_PIPE, /* max_pipes or the descriptors are used up */
    MOVER_FALLBACKS,
};

struct mover {
    bool splice;
    struct pipe_stock pipes;
    char *buffer;
    size_t buffer_size;
    struct counter bytes[MOVER_PATHS][MOVER_DIRECTIONS];
    struct counter fallbacks[MOVER_FALLBACKS];
};

/* splice: move bytes by splice(2) where possible. quota as for pipe_stock_init(). Returns 0 or
 * -ENOMEM. */
int mover_init(struct mover *m, bool splice, struct pipe_quota *quota, int pipe_size);
void mover_fini(struct mover *m);

/* A pipe that holds bytes, from another process, whose pipes may be larger than those here: as
 * pipe_adopt(), and the buffer grows to what is in it. Takes the descriptors over, also on failure.
 */
struct pipe *mover_adopt(struct mover *m, const int fd[2], uint32_t held);

/* Whether this program was built to splice, and this kernel lets it between TCP sockets. */
bool mover_can_splice(void);

/* Counts a fallback, and says so in the log the first time in the process. error: positive. */
void mover_fell_back(struct mover *m, enum mover_fallback why, int error);

/* The line alone: for a fallback known before the first byte. */
void mover_say_fallback(enum mover_fallback why, const char *error);

const char *mover_fallback_name(enum mover_fallback why);

#endif
