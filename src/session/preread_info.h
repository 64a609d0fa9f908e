/* What is remembered of a session's first bytes, for its line in the log: there only if they took
 * time or were the hello of a TLS client that said something. */
#ifndef ZPROXY_SESSION_PREREAD_INFO_H
#define ZPROXY_SESSION_PREREAD_INFO_H

#include <stddef.h>
#include <stdint.h>

#include "session/hello.h"

struct preread_info {
    uint32_t ms;      /* that the client took */
    const char *alpn; /* in text: protocols, with commas; "": none */
    char text[];      /* the server's name; "": none */
};

/* hello may be NULL. Returns NULL where there is nothing to remember, or no memory: only the line
 * in the log has less then. */
struct preread_info *preread_info_new(uint64_t ms, const struct hello *hello);
struct preread_info *preread_info_copy(uint64_t ms, const char *name, const char *alpn);

#endif
